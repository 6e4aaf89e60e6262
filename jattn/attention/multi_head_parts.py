"""The parts of multi-head attention: projection to heads, attention of each head, and the join."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from jattn._dropout import kept_pairs
from jattn._naming import named_value
from jattn.attention.attend import Attended, MaskLike, allowed_pairs, attend
from jattn.attention.multi_head_params import MultiHeadParams
from jattn.masks.visible import only, visible
from jattn.normalizers import Normalizer
from jattn.positions.offsets import positions_from

Turn = Callable[[Float[Array, "t e"], Int[Array, " t"]], Float[Array, "t e"]]
Attend = Callable[..., tuple[Float[Array, "t h u"], Any]]  # With options by name: see `attend_by`.


class Heads(NamedTuple):
    """Queries, keys and values of each head, and the pairs that may attend."""

    query: Float[Array, "h t e"]
    key: Float[Array, "g s e"]
    value: Float[Array, "g s u"]
    allowed: Bool[Array, "*h t s"] | None
    bias: Float[Array, "*h t s"] | None
    reads: Bool[Array, " t"] | None
    is_read: Bool[Array, " s"] | None


def project_heads(
    params: MultiHeadParams,
    query: Float[Array, "t q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    mask: MaskLike,
    bias: Float[Array, "*h t s"] | None,
) -> Heads:
    """Returns the projections of what is read; rows that no query may attend to are zeroed first.

    In the result `allowed` is None where every query may attend to every key, `reads` is False for
    a query that may attend to no key in any head, and `is_read` for a key that no query may
    attend to. The last two are None where there is no such row.
    """
    t, s = query.shape[0], key.shape[0]
    seen = visible(mask, bias, t, s)
    reads, is_read = (None, None) if seen is None else seen
    query, key, value = only(reads, query), only(is_read, key), only(is_read, value)
    return Heads(
        project(params.query_weight, params.query_bias, query, "query_heads"),
        project(params.key_weight, params.key_bias, key, "key_heads"),
        project(params.value_weight, params.value_bias, value, "value_heads"),
        *allowed_pairs(mask, bias, t, s),
        reads,
        is_read,
    )


def attend_projected(
    heads: Heads,
    normalizer: Normalizer,
    scale: Float[Array, ""] | float | None,
    turn: Turn | None,
    query_offset: Int[Array, ""] | int,
) -> tuple[Float[Array, "h t u"], Float[Array, "h t s"]]:
    """Returns the context and the weights of each head, after rotating its queries and keys."""
    queries = rotated(turn, heads.query, query_offset)
    keys = rotated(turn, heads.key, 0)
    pairs = (heads.allowed, heads.bias, normalizer)
    return attend_heads(queries, keys, heads.value, *pairs, scale=scale)


def project(
    weight: Float[Array, "h e f"],
    bias: Float[Array, "h e"] | None,
    inputs: Float[Array, "s f"],
    name: str,
) -> Float[Array, "h s e"]:
    """Returns the queries, keys or values of each head, under `name` in a trace."""
    h, e, f = weight.shape
    # One product with a matrix: with two axes of rows XLA takes three times as long for one token.
    projected = jnp.einsum("nf,sf->sn", weight.reshape(h * e, f), inputs)
    projected = jnp.swapaxes(projected.reshape(inputs.shape[0], h, e), 0, 1)
    projected = projected if bias is None else projected + bias[:, None]
    return named_value(projected, f"encode/{name}")


def rotated(
    turn: Turn | None, heads: Float[Array, "h t e"], offset: Int[Array, ""] | int
) -> Float[Array, "h t e"]:
    """Returns each head rotated by the positions offset, offset + 1, ... of its rows."""
    if turn is None:
        return heads
    return jax.vmap(turn, (0, None))(heads, positions_from(offset, heads.shape[1]))


def attend_heads(
    query_heads: Float[Array, "h t e"],
    key_heads: Float[Array, "g s e"],
    value_heads: Float[Array, "g s u"],
    allowed: Bool[Array, "*h t s"] | None,
    bias: Float[Array, "*h t s"] | None,
    normalizer: Normalizer,
    *,
    scale: Float[Array, ""] | float | None = None,
    logits_soft_cap: float | None = None,
    sinks: Float[Array, " h"] | None = None,
    dropped: Float[Array, "h t s"] | None = None,
) -> tuple[Float[Array, "h t u"], Float[Array, "h t s"]]:
    """Returns the context and the weights of each query head, which uses the keys of its group.

    Args:
        allowed: True where a query may attend to a key; `bias` is finite there.
        dropped: factors of the weights, from `dropout_factors`. The weights that are returned are
            those before dropout.
    """
    heads, groups = len(query_heads), len(key_heads)
    factor = max(query_heads.shape[-1], 1) ** -0.5 if scale is None else scale

    def attend_head(query: Any, key: Any, value: Any, *of_head: Any) -> Attended:
        allowed, bias, sink, dropped = of_head
        # The query is scaled and not the scores: a product too large for the dtype then counts
        # only if the score itself is.
        scores = jnp.einsum("te,se->ts", query * factor, key)
        if logits_soft_cap is not None:
            scores = logits_soft_cap * jnp.tanh(scores / logits_soft_cap)
        row_map = normalizer if sink is None else with_sink(normalizer, sink)
        return attend(scores, value, allowed, bias, row_map, dropped)

    # With the rank of an array that has heads: a mask or a bias may be shared by all.
    of_heads = (allowed, 3), (bias, 3), (sinks, 1), (dropped, 3)
    axes = [None if x is None or x.ndim < rank else 0 for x, rank in of_heads]

    def by_group(array: Any, axis: int | None = 0) -> Any:
        if axis is None:
            return array
        return array.reshape(groups, heads // groups, *array.shape[1:])

    grouped = [by_group(x, axis) for (x, _), axis in zip(of_heads, axes, strict=True)]
    in_group = jax.vmap(attend_head, (0, None, None, *axes))
    context, weights = jax.vmap(in_group, (0, 0, 0, *axes))(
        by_group(query_heads), key_heads, value_heads, *grouped
    )
    return context.reshape(heads, *context.shape[2:]), weights.reshape(heads, *weights.shape[2:])


def with_sink(normalizer: Normalizer, sink: Float[Array, ""]) -> Normalizer:
    """Returns the normalizer of rows with one more score, `sink`, whose weight is left out.

    A sink of -inf takes no weight.
    """

    def normalize(scores: Any, allowed: Any) -> Any:
        rows, keys = scores.shape
        finite = ~(sink < jnp.finfo(sink.dtype).min)  # Without the number that debug_infs reports.
        column = jnp.broadcast_to(jnp.where(finite, sink, 0.0), (rows, 1))
        allowed = jnp.ones(scores.shape, bool) if allowed is None else allowed
        allowed = jnp.concatenate([allowed, jnp.broadcast_to(finite, (rows, 1))], 1)
        return normalizer(jnp.concatenate([scores, column], 1), allowed)[:, :keys]

    return normalize


def dropout_factors(
    rng: Key[Array, ""] | None,
    rate: float,
    shape: tuple[int, int, int],
    offset: Int[Array, ""] | int,
    dtype: Any,
) -> Float[Array, "h t s"] | None:
    """Returns 0 or 1 / (1 - rate) for each weight, or None where none is dropped.

    A pair's factor depends on rng, head, query and key alone, as in `dot_product_attention`. The
    first query has the position `offset`.
    """
    if rng is None or rate == 0.0:
        return None
    heads, queries, keys = shape
    places = jnp.arange(heads), positions_from(offset, queries), jnp.arange(keys)
    kept = kept_pairs(rng, rate, *places)
    return kept.astype(dtype) / (1.0 - rate)


def join_heads(
    params: MultiHeadParams, context: Float[Array, "h t u"], reads: Bool[Array, " t"] | None
) -> Float[Array, "t d"]:
    """Returns the heads' contexts after the output projection.

    Args:
        reads: False for a query that may attend to no key, whose output is zero; None: all may.
    """
    d, h, u = params.output_weight.shape
    heads = jnp.swapaxes(context, 0, 1).reshape(context.shape[1], h * u)
    output = jnp.einsum("dn,tn->td", params.output_weight.reshape(d, h * u), heads)
    if params.output_bias is not None:
        output = output + params.output_bias[None]
    return named_value(only(reads, output), "decode/output")


def attend_by(
    attend: Attend,
    query_heads: Float[Array, "h t e"],
    key_heads: Float[Array, "g s e"],
    value_heads: Float[Array, "g s u"],
    **options: Any,
) -> tuple[Float[Array, "h t u"], Any]:
    """Returns the context and the second result of `attend`, which gets the options that are set.

    A function that cannot do what an option asks for is called with it all the same, and refuses.

    Raises:
        ValueError: if `attend` returns no pair of which the first is a context of this shape.
    """
    heads = (jnp.swapaxes(x, 0, 1) for x in (query_heads, key_heads, value_heads))
    result = attend(*heads, **{name: x for name, x in options.items() if x is not None})
    h, t, _ = query_heads.shape
    expected = (t, h, value_heads.shape[-1])
    shape = np.shape(result[0]) if isinstance(result, tuple) and len(result) == 2 else None
    if shape != expected:
        given = type(result).__name__ if shape is None else f"a context of shape {shape}"
        raise ValueError(
            f"multi_head_attention: attend returned {given}, expected a context of shape"
            f" {expected} (t, h, u) and a second result"
        )
    return jnp.swapaxes(result[0], 0, 1), result[1]
