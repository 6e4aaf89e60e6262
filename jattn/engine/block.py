"""A block of queries against a span of keys: the body of the engine's loops.

Scores lie with keys down and queries across. In this order every product, forward and backward,
has the form that XLA's fast CPU kernels take, and only small operands are turned for it.
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
    """What is differentiated. The queries, already scaled, of r heads lie side by side: c = r t."""

    query: Float[Array, "k c"]
    key: Float[Array, "s k"]
    value: Float[Array, "s v"]
    bias: Float[Array, "r t s"] | None  # Axes may have size 1.
    sinks: Float[Array, " r"] | None


class Setting(NamedTuple):
    """What is not: where the block lies and who sees whom, and keys and values once more, turned."""

    key_columns: Float[Array, "k s"]
    value_columns: Float[Array, "v s"]
    mask: Mask | None
    array: Bool[Array, "r t s"] | None  # Axes may have size 1.
    queries: Int[Array, " t"]
    keys: Int[Array, " s"]
    chance: Chance | None


class Static(NamedTuple):
    """Numbers that are known before the run."""

    heads: int
    cap: float | None
    dropout_rate: float


class Read(NamedTuple):
    """Weighted means of the values, and the logarithm of the sum of the exponentials."""

    context: Float[Array, "v c"]
    lse: Float[Array, " c"]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def read(static: Static, operands: Operands, setting: Setting) -> Read:
    """Softmax attention of a block.

        scores = cap tanh(key · query / cap) + bias,   lse = log(Σ exp(scores) + exp(sink))
        context = Σ exp(scores - lse) value

    The derivative is a rule that keeps `context` and `lse` and computes the scores anew, since what
    is kept between forward and backward must not grow with queries times keys:

        dlse = Σ weights dscores + exp(sink - lse) dsink
        dcontext = Σ weights dscores value - context dlse + Σ weights dvalue

    It is linear in what is differentiated, so that its transpose is the backward pass of
    FlashAttention (Dao et al. 2022, arXiv:2205.14135, algorithm 4), without that being written.
    """
    scores, allowed = _scores(static, operands, setting)
    sinks = _over_queries(operands.sinks, setting)
    lowest = jnp.finfo(scores.dtype).min  # Finite, so that an empty row stays finite.
    maximum = scores.max(0, initial=lowest, where=allowed)
    maximum = maximum if sinks is None else jnp.maximum(maximum, sinks)
    maximum = lax.stop_gradient(maximum)
    exponentials = _exponentials(scores, maximum, allowed)
    total = exponentials.sum(0)
    total = total if sinks is None else total + jnp.exp(sinks - maximum)
    dropped = _drop(exponentials, static, setting)
    empty = total == 0.0
    context = (setting.value_columns @ dropped) / jnp.where(empty, 1.0, total)[None]
    lse = jnp.where(empty, -jnp.inf, maximum + jnp.log(jnp.where(empty, 1.0, total)))
    return Read(context, lse)


@read.defjvp
def _read_jvp(static: Static, primals: Any, tangents: Any) -> tuple[Read, Read]:
    operands, setting = primals
    result = read(static, operands, setting)
    # Tangents of the turned keys and values are those of the keys and values.
    slope = jax.checkpoint(partial(_slope, static), prevent_cse=False)
    return result, slope(operands, setting, result, tangents[0])


def _slope(static: Static, operands: Operands, setting: Setting, result: Read, d: Operands) -> Read:
    """The change of `result` for the changes `d`, linear in these."""
    pairs = lambda left, right: lax.dot_general(left, right, (((0,), (0,)), ((), ())))
    scores, allowed, slope = _scores_and_slope(static, operands, setting)
    lse = jnp.where(result.lse == -jnp.inf, 0.0, result.lse)
    weights = _exponentials(scores, lse, allowed)
    d_scores = pairs(setting.key_columns, d.query) + d.key @ operands.query
    d_scores = d_scores if slope is None else slope * d_scores
    if d.bias is not None:
        d_scores = d_scores + _columns(d.bias.transpose(2, 0, 1), static, setting)
    d_scores = d_scores if allowed is None else jnp.where(allowed, d_scores, 0.0)
    moved = weights * d_scores
    d_lse = moved.sum(0)
    if d.sinks is not None:
        sinks = _over_queries(operands.sinks, setting)
        d_lse = d_lse + jnp.exp(sinks - lse) * _over_queries(d.sinks, setting)
    d_context = (
        pairs(operands.value, _drop(moved, static, setting))
        - result.context * d_lse[None]
        + pairs(d.value, _drop(weights, static, setting))
    )
    return Read(d_context, d_lse)


def _scores(static: Static, operands: Operands, setting: Setting) -> tuple[Any, Any]:
    """Scores, zero where masked, and which are allowed: None if all are."""
    scores, allowed, _ = _scores_and_slope(static, operands, setting)
    return scores, allowed


def _scores_and_slope(static: Static, operands: Operands, setting: Setting) -> tuple[Any, Any, Any]:
    scores, slope = operands.key @ operands.query, None
    if static.cap is not None:
        capped = jnp.tanh(scores / static.cap)
        scores, slope = static.cap * capped, 1.0 - capped**2
    allowed = None
    if not (setting.mask is setting.array is operands.bias is None):
        pairs = (setting.mask, setting.array, operands.bias, setting.queries, setting.keys)
        allowed = _columns(pairs_allowed(*pairs, static.heads), static, setting)
    if operands.bias is not None:
        bias = _columns(operands.bias.transpose(2, 0, 1), static, setting)
        # A bias of -inf is a mask; where that holds no sum is taken.
        scores = scores + jnp.where(bias == -jnp.inf, 0.0, bias)
    return (scores if allowed is None else jnp.where(allowed, scores, 0.0)), allowed, slope


def pairs_allowed(
    mask: Mask | None,
    array: Bool[Array, "r t s"] | None,
    bias: Float[Array, "r t s"] | None,
    queries: Int[Array, " t"],
    keys: Int[Array, " s"],
    heads: int,
) -> Bool[Array, "s r t"]:
    """True where a query may see a key: by the mask, by the array, and by a bias that is not -inf."""
    known = [] if mask is None else [mask.at(queries[None, :], keys[:, None])[:, None]]
    known += [] if array is None else [array.transpose(2, 0, 1)]
    known += [] if bias is None else [(bias != -jnp.inf).transpose(2, 0, 1)]
    shape = (len(keys), heads, len(queries))
    return reduce(jnp.logical_and, [jnp.broadcast_to(pairs, shape) for pairs in known])


def weights_of(
    static: Static, operands: Operands, setting: Setting, lse: Float[Array, " c"]
) -> Float[Array, "s c"]:
    """The weights themselves, before dropout, from what `read` returned beside the context."""
    scores, allowed = _scores(static, operands, setting)
    return _exponentials(scores, jnp.where(lse == -jnp.inf, 0.0, lse), allowed)


def _exponentials(scores: Any, shift: Any, allowed: Any) -> Any:
    if allowed is None:
        return jnp.exp(scores - shift[None])
    # Masked scores take the shift before the exponential, so that no gradient is NaN.
    return jnp.where(allowed, jnp.exp(jnp.where(allowed, scores, shift[None]) - shift[None]), 0.0)


def _drop(weights: Any, static: Static, setting: Setting) -> Any:
    if setting.chance is None:
        return weights
    kept = kept_pairs(setting.chance, static.dropout_rate, setting.queries, setting.keys)
    return jnp.where(kept.reshape(weights.shape), weights / (1.0 - static.dropout_rate), 0.0)


def _columns(pairs: Any, static: Static, setting: Setting) -> Any:
    """`pairs [s r t]`, of whose axes some may be 1, over all keys and columns."""
    shape = (len(setting.keys), static.heads, len(setting.queries))
    return jnp.broadcast_to(pairs, shape).reshape(shape[0], shape[1] * shape[2])


def _over_queries(sinks: Any, setting: Setting) -> Any:
    """One number a head, over all columns."""
    if sinks is None:
        return None
    return jnp.broadcast_to(sinks[:, None], (len(sinks), len(setting.queries))).reshape(-1)
