"""Attention with functions of the caller: of scores, of weights, and the normalizer between."""

import collections
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from jattn._options import named
from jattn._precision import inner_dtype
from jattn.biases.algebra import Bias
from jattn.engine.arguments import Call, check
from jattn.engine.attention import attend_all, planned
from jattn.engine.dot_product import all_weights, check_flags, default_planner
from jattn.engine.functions import check_functions
from jattn.engine.measuring import Measured, Tile
from jattn.engine.operands import Score
from jattn.engine.plan import Planner
from jattn.engine.statistics import entropy_of, largest_of
from jattn.masks.algebra import Mask
from jattn.normalizers import Normalizer, softmax

RETURNED = ("lse", "max_logit", "entropy", "column_sums", "weights")


def flex_attention(
    query: Float[Array, "*b t h k"],
    key: Float[Array, "*b s g k"],
    value: Float[Array, "*b s g v"],
    *,
    score: Score | None = None,
    weight: Score | None = None,
    params: Any = None,
    bias: Bias | Float[Array, "*b h t s"] | None = None,
    mask: Bool[Array, "*b h t s"] | Mask | None = None,
    normalizer: Normalizer = softmax,
    scale: Float[Array, ""] | float | None = None,
    query_offset: int | Int[Array, "*b"] = 0,
    query_seq_lengths: Int[Array, "*b"] | None = None,
    key_value_seq_lengths: Int[Array, "*b"] | None = None,
    sinks: Float[Array, " h"] | None = None,
    dropout_rate: float = 0.0,
    dropout_rng: Key[Array, ""] | None = None,
    returning: Sequence[str] = (),
    chunk_size: int | None = None,
    precision: Any = None,
    planner: Planner | None = None,
) -> Any:
    """Computes attention whose scores and weights are functions of the caller, in linear memory.

        scores  = score(scale query · key, at, params) + bias
        weights = normalizer(scores)   over the keys that the masks allow
        output  = Σ dropout(weight(weights, at, params)) value

    `jattn.dot_product_attention` is the case without functions, and describes the other arguments.
    The functions are called with blocks of pairs, so that no array of all pairs exists unless the
    weights are asked for. Every derivative of JAX holds, to the arrays and to every parameter. A
    function has to be defined once, outside of loops: a new one is compiled anew.

        >>> import jax.numpy as jnp
        >>> def closer(scores, at, params):
        ...     return scores - params["slope"][at.head] * abs(at.query - at.key)
        >>> x, params = jnp.ones((1, 5, 2, 3)), {"slope": jnp.array([0.5, 0.25])}
        >>> flex_attention(x, x, x, score=closer, params=params).shape
        (1, 5, 2, 3)

    Source: Dong, Feng, Guessous, Liang & He (2024), "Flex Attention: A Programming Model for
    Generating Optimized Attention Kernels", arXiv:2412.05496, whose functions get a score and its
    indices one at a time.

    Args:
        query: [*b t h k].
        key: [*b s g k].
        value: [*b s g v].
        score: maps scores to as many scores of their dtype. A score is one of its own pair alone,
            however the block lies. `at` has `batch`, `head`, `query` and `key`, arrays of integers
            that broadcast with the scores. -inf hides a pair; `mask` also leaves out its work. Of a
            pair that the mask hides it may return any number, but not NaN, since a derivative of
            that is NaN.
        weight: maps weights in the same way after they are normalized, as a gate.
        params: a tree of arrays for both functions. A traced array that a function closes over is
            refused, so that no derivative is lost.
        bias: a bias of `jattn.biases`, or an array.
        mask: a mask of `jattn.masks`, or an array; True where a query may attend to a key.
        normalizer: maps rows of scores and a mask to weights, as those of `jattn`.
        query_offset: added to the positions `at.query`, and to those of the queries in a bias.
        sinks: for softmax alone.
        returning: any of "lse", "max_logit" (the largest score that is seen, -inf without one),
            "entropy" (of the weights), "column_sums" (of the weights of each key) and "weights".
            They are those of the normalizer, before `weight` and dropout.

    Returns:
        The output [*b t h v]. With `returning` a named tuple of the output and of the others in
        their order: lse, max_logit and entropy [*b t h], column_sums [*b h s], weights
        [*b h t s].

    Raises:
        ValueError: if `dot_product_attention` refuses the arguments; a function returns another
            shape or dtype, closes over a traced array, reads a place that is not there, mixes
            pairs, or returns NaN where the mask hides; or what is asked for does not exist.
    """
    names = (returning,) if isinstance(returning, str) else tuple(returning)
    call = Call(
        *(query, key, value, bias, mask, scale, False, query_seq_lengths, key_value_seq_lengths),
        *(None, query_offset, None, sinks, dropout_rate, dropout_rng, chunk_size, precision),
    )
    with named("flex_attention"):
        call = check(call)
        check_flags(planner, False, False)
        for name in names:
            if name not in RETURNED:
                raise ValueError(f"returning has {name!r}, expected some of {', '.join(RETURNED)}")
        other = None if normalizer is softmax else normalizer
        if other is not None and (sinks is not None or "lse" in names):
            given = "sinks are given" if sinks is not None else "returning has 'lse'"
            raise ValueError(f"{given}, expected the normalizer softmax, which alone has them")
        call = call._replace(params=params, score=score, weight=weight, normalizer=other)
        check_functions(call)
    measured = tuple(name for name in names if name != "lse")
    planner = planner or default_planner("weights" in names)
    output, lse, rows, columns = attend_all(
        *planned(call, planner), Wanted(measured) if measured else None
    )
    if not names:
        return output
    found: dict[str, Any] = {"lse": lse}
    if rows is not None:
        numbers = [name for name in ("max_logit", "entropy") if name in names]
        found |= {name: rows[..., i].swapaxes(-1, -2) for i, name in enumerate(numbers)}
        found["weights"] = rows[..., len(numbers) :]
        for name in {"entropy", "weights"} & found.keys():
            found[name] = found[name].astype(output.dtype)
    if columns is not None:
        found["column_sums"] = columns.astype(inner_dtype(output.dtype))
    return _result(names)(output, *(found[name] for name in names))


class Wanted(NamedTuple):
    """Measures the weights and scores of a tile: rows of numbers and weights, and column sums."""

    names: tuple[str, ...]

    def __call__(self, weights: Tile, scores: Tile, place: Callable[[Array], Array]) -> Measured:
        rows = []
        if "max_logit" in self.names:
            rows.append(largest_of(scores, -jnp.inf)[..., None])
        if "entropy" in self.names:
            rows.append(entropy_of(weights)[..., None])
        if "weights" in self.names:
            rows.append(all_weights(weights, scores, place).rows)
        found = jnp.concatenate(rows, -1) if rows else weights[..., :0]
        return Measured(found, place(weights.sum(0)) if "column_sums" in self.names else None)


@lru_cache
def _result(names: tuple[str, ...]) -> Any:
    """A named tuple of the output and of what else is asked for."""
    return collections.namedtuple("FlexAttention", ("output", *names))
