"""A block of queries against a span of keys: the body of the engine's loops.

XLA's fast CPU kernels take products of rows with columns or of rows with rows, not of columns.
So scores lie with queries down in the forward pass and with keys down in its derivative, where all
five products then have such a form; only the keys are turned for it, once.
"""

from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jattn.engine.chance import Chance, kept_pairs
from jattn.masks.algebra import Mask


class Operands(NamedTuple):
    """What is differentiated. The queries of r heads lie one below the other: c = r t."""

    query: Float[Array, "c k"]  # Scaled.
    key: Float[Array, "s k"]
    value: Float[Array, "s v"]
    bias: Float[Array, "r t s"] | None  # Axes may have size 1.
    sinks: Float[Array, " r"] | None


class Setting(NamedTuple):
    """What is not: where the block lies and who sees whom, and the keys once more, turned."""

    key_columns: Float[Array, "k s"]
    mask: Mask | None
    array: Bool[Array, "r t s"] | None  # Axes may have size 1.
    first_query: Int[Array, ""]
    first_key: Int[Array, ""]
    chance: Chance | None


class Static(NamedTuple):
    """Numbers that are known before the run."""

    heads: int
    cap: float | None
    dropout_rate: float


class Read(NamedTuple):
    """Weighted means of the values, and the logarithm of the sum of the exponentials."""

    context: Float[Array, "c v"]
    lse: Float[Array, " c"]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def read(static: Static, operands: Operands, setting: Setting) -> Read:
    """Softmax attention of a block.

        scores = cap tanh(query · key / cap) + bias,   lse = log(Σ exp(scores) + exp(sink))
        context = Σ exp(scores - lse) value

    The derivative is a rule that keeps `context` and `lse` and computes the scores anew, since what
    is kept between forward and backward must not grow with queries times keys:

        dlse = Σ weights dscores + exp(sink - lse) dsink
        dcontext = Σ weights dscores value - context dlse + Σ weights dvalue

    It is linear in what is differentiated, so that its transpose is the backward pass of
    FlashAttention (Dao et al. 2022, arXiv:2205.14135, algorithm 4), without that being written.
    """
    scores, allowed = _scores(static, operands, setting)
    sinks = _over_queries(operands.sinks, static, operands)
    lowest = jnp.finfo(scores.dtype).min  # Finite, so that an empty row stays finite.
    maximum = scores.max(-1, initial=lowest, where=allowed)
    maximum = maximum if sinks is None else jnp.maximum(maximum, sinks)
    exponentials = _exponentials(scores, maximum[:, None], allowed)
    total = exponentials.sum(-1)
    total = total if sinks is None else total + jnp.exp(sinks - maximum)
    if static.dropout_rate:
        exponentials = exponentials * _kept(static, operands, setting)
    empty = total == 0.0
    context = (exponentials @ operands.value) / jnp.where(empty, 1.0, total)[:, None]
    lse = jnp.where(empty, -jnp.inf, maximum + jnp.log(jnp.where(empty, 1.0, total)))
    return Read(context, lse)


@read.defjvp
def _read_jvp(static: Static, primals: Any, tangents: Any) -> tuple[Read, Read]:
    operands, setting = primals
    result = read(static, operands, setting)
    # The tangent of the turned keys is that of the keys.
    slope = jax.checkpoint(partial(_slope, static), prevent_cse=False)
    return result, slope(operands, setting, result, tangents[0])


def _slope(static: Static, operands: Operands, setting: Setting, result: Read, d: Operands) -> Read:
    """The change of `result` for the changes `d`, linear in these. Keys are down here."""
    lse = jnp.where(result.lse == -jnp.inf, 0.0, result.lse)[None]
    scores = _product(operands.key, operands.query, 1, 1)
    slope = None
    if static.cap is not None:
        capped = jnp.tanh(scores / static.cap)
        scores, slope = static.cap * capped, 1.0 - capped**2
    if operands.bias is not None:
        scores = scores + _spread(_finite(operands.bias), static, operands).T
    allowed = _allowed(static, operands, setting)
    allowed = None if allowed is None else allowed.T
    weights = _exponentials(scores, lse, allowed)

    # The barrier keeps a transpose of the block's queries apart from the product that it is for.
    d_query = lax.optimization_barrier(d.query.T)
    d_scores = _product(d_query, setting.key_columns, 0, 0).T + _product(
        d.key, operands.query, 1, 1
    )
    d_scores = d_scores if slope is None else slope * d_scores
    if d.bias is not None:
        d_scores = d_scores + _spread(d.bias, static, operands).T
    d_scores = d_scores if allowed is None else jnp.where(allowed, d_scores, 0.0)
    moved = weights * d_scores
    d_lse = moved.sum(0)
    if d.sinks is not None:
        sinks = _over_queries(operands.sinks, static, operands)
        d_lse = d_lse + jnp.exp(sinks - lse[0]) * _over_queries(d.sinks, static, operands)
    if static.dropout_rate:
        kept = _kept(static, operands, setting).T
        moved, weights = moved * kept, weights * kept
    d_context = (
        _product(moved, operands.value, 0, 0)
        - result.context * d_lse[:, None]
        + _product(d.value, weights, 0, 0).T
    )
    return Read(d_context, d_lse)


def _product(left: Any, right: Any, left_axis: int, right_axis: int) -> Any:
    """The product of two matrices over the given axes; JAX transposes it without a detour."""
    return lax.dot_general(left, right, (((left_axis,), (right_axis,)), ((), ())))


def weights_of(
    static: Static, operands: Operands, setting: Setting, lse: Float[Array, " c"]
) -> Float[Array, "c s"]:
    """The weights themselves, before dropout, from what `read` returned beside the context."""
    scores, allowed = _scores(static, operands, setting)
    return _exponentials(scores, jnp.where(lse == -jnp.inf, 0.0, lse)[:, None], allowed)


def _scores(static: Static, operands: Operands, setting: Setting) -> tuple[Any, Any]:
    """Scores [c s], and which pairs are allowed: None if all are."""
    scores = _product(operands.query, operands.key, 1, 1)
    if static.cap is not None:
        scores = static.cap * jnp.tanh(scores / static.cap)
    if operands.bias is not None:
        scores = scores + _spread(_finite(operands.bias), static, operands)
    return scores, _allowed(static, operands, setting)


def _places(static: Static, operands: Operands, setting: Setting) -> tuple[Any, Any]:
    """The positions of the block's queries and of its keys."""
    queries, keys = len(operands.query) // static.heads, len(operands.key)
    return setting.first_query + jnp.arange(queries), setting.first_key + jnp.arange(keys)


def _finite(bias: Any) -> Any:
    """A bias of -inf is a mask; where that holds no sum is taken."""
    return jnp.where(bias == -jnp.inf, 0.0, bias)


def _allowed(static: Static, operands: Operands, setting: Setting) -> Any:
    if setting.mask is setting.array is operands.bias is None:
        return None
    given = (setting.mask, setting.array, operands.bias)
    return _rows(pairs_allowed(*given, *_places(static, operands, setting), static.heads))


def pairs_allowed(
    mask: Mask | None,
    array: Bool[Array, "r t s"] | None,
    bias: Float[Array, "r t s"] | None,
    queries: Int[Array, " t"],
    keys: Int[Array, " s"],
    heads: int,
) -> Bool[Array, "r t s"]:
    """True where a query may see a key: by the mask, the array, and a bias that is not -inf."""
    known = [] if mask is None else [mask.at(queries[:, None], keys[None, :])[None]]
    known += [] if array is None else [array]
    known += [] if bias is None else [bias != -jnp.inf]
    shape = (heads, len(queries), len(keys))
    return reduce(jnp.logical_and, [jnp.broadcast_to(pairs, shape) for pairs in known])


def _exponentials(scores: Any, shift: Any, allowed: Any) -> Any:
    if allowed is None:
        return jnp.exp(scores - shift)
    # Masked scores take the shift before the exponential, so that no gradient is NaN.
    return jnp.where(allowed, jnp.exp(jnp.where(allowed, scores, shift) - shift), 0.0)


def _kept(static: Static, operands: Operands, setting: Setting) -> Float[Array, "c s"]:
    """What dropout multiplies the weights with: zero or 1 / (1 - rate)."""
    assert setting.chance is not None
    places = _places(static, operands, setting)
    kept = _rows(kept_pairs(setting.chance, static.dropout_rate, *places))
    return kept.astype(operands.query.dtype) / (1.0 - static.dropout_rate)


def _spread(pairs: Any, static: Static, operands: Operands) -> Any:
    """`pairs [r t s]`, of whose axes some may be 1, as [c s]."""
    shape = (static.heads, len(operands.query) // static.heads, len(operands.key))
    return _rows(jnp.broadcast_to(pairs, shape))


def _rows(pairs: Any) -> Any:
    return pairs.reshape(pairs.shape[0] * pairs.shape[1], pairs.shape[2])


def _over_queries(sinks: Any, static: Static, operands: Operands) -> Any:
    """One number a head, for each of its queries."""
    if sinks is None:
        return None
    queries = len(operands.query) // static.heads
    return jnp.broadcast_to(sinks[:, None], (len(sinks), queries)).reshape(-1)
