"""A block of queries against a span of keys: the body of the engine's loops.

XLA's fast CPU kernels take products of rows with columns or of rows with rows, not of columns.
So scores lie with queries down in the forward pass and with keys down in its derivative, where all
five products then have such a form; only the keys are turned for it, once.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jattn.engine.pairs import (
    Operands,
    Setting,
    Static,
    allowed_of,
    finite,
    kept_of,
    over_queries,
    product,
    rounded,
    scaled,
    scores_of,
    spread,
)
from jattn.engine.planners import SMALL


class Read(NamedTuple):
    """Weighted means of the values, and the logarithm of the sum of the exponentials."""

    context: Float[Array, "c v"]
    lse: Float[Array, " c"]


def read(static: Static, operands: Operands, setting: Setting) -> Read:
    """Softmax attention of a block.

    scores = cap tanh(query · key / cap) + bias,   lse = log(Σ exp(scores) + exp(sink))
    context = Σ exp(scores - lse) value
    """
    scores, allowed = scores_of(static, operands, setting)
    sinks = over_queries(operands.sinks, static, operands)
    lowest = jnp.finfo(scores.dtype).min  # Finite, so that an empty row stays finite.
    maximum = scores.max(-1, initial=lowest, where=allowed)
    maximum = maximum if sinks is None else jnp.maximum(maximum, sinks)
    maximum = lax.stop_gradient(maximum)  # Neither result depends on it.
    exponentials = _exponentials(scores, maximum[:, None], allowed)
    total = exponentials.sum(-1)
    total = total if sinks is None else total + jnp.exp(sinks - maximum)
    if static.dropout_rate:
        exponentials = exponentials * kept_of(static, operands, setting)
    # Without a select XLA makes one kernel of both products and all between them, which is faster
    # for small heads and slower for others; a row that is not empty has a total of one at least.
    small = scores.size <= SMALL
    safe = jnp.maximum(total, 0.5) if small else jnp.where(total == 0.0, 1.0, total)
    context = (exponentials @ operands.value) / safe[:, None]
    lse = jnp.where(total == 0.0, -jnp.inf, maximum + jnp.log(safe))
    return Read(context, lse)


def slope(
    static: Static,
    operands: Operands,
    setting: Setting,
    key_columns: Float[Array, "k s"],
    result: Read,
    d: Operands,
) -> Read:
    """The change of `read`'s result for the changes `d`, linear in these.

        dlse = Σ weights dscores + exp(sink - lse) dsink
        dcontext = Σ weights dscores value - context dlse + Σ weights dvalue

    It computes the weights anew from `lse`, since what is kept between forward and backward must
    not grow with queries times keys. Its transpose is the backward pass of FlashAttention (Dao et
    al. 2022, arXiv:2205.14135, algorithm 4), without that being written. Keys are down here, and
    `key_columns` are the keys once more, turned.
    """
    lse = jnp.where(result.lse == -jnp.inf, 0.0, result.lse)[None]
    query = scaled(operands)
    scores = product(operands.key, query, 1, 1)
    curve = None
    if static.cap is not None:
        capped = jnp.tanh(scores / static.cap)
        scores, curve = static.cap * capped, 1.0 - capped**2
    if operands.bias is not None:
        scores = scores + spread(finite(operands.bias), static, operands).T
    scores = rounded(scores)
    allowed = allowed_of(static, operands, setting)
    allowed = None if allowed is None else allowed.T
    if scores.size <= SMALL and allowed is operands.sinks is None:
        # Cheaper than to keep the lse, which would cut the one kernel of such heads into many.
        maximum = scores.max(0, initial=jnp.finfo(scores.dtype).min)
        exponentials = jnp.exp(scores - lax.stop_gradient(maximum)[None])
        weights = exponentials / jnp.maximum(exponentials.sum(0), 0.5)[None]
    else:
        weights = _exponentials(scores, lse, allowed)

    d_query = d.query * operands.scale + operands.query * d.scale
    # The barrier keeps a transpose of the block's queries apart from the product that it is for.
    d_query = lax.optimization_barrier(d_query.T)
    d_scores = product(d_query, key_columns, 0, 0).T + product(d.key, query, 1, 1)
    d_scores = d_scores if curve is None else curve * d_scores
    if d.bias is not None:
        d_scores = d_scores + spread(d.bias, static, operands).T
    d_scores = d_scores if allowed is None else jnp.where(allowed, d_scores, 0.0)
    moved = weights * d_scores
    d_lse = moved.sum(0)
    if d.sinks is not None:
        sinks = over_queries(operands.sinks, static, operands)
        d_lse = d_lse + jnp.exp(sinks - lse[0]) * over_queries(d.sinks, static, operands)
    if static.dropout_rate:
        kept = kept_of(static, operands, setting).T
        moved, weights = moved * kept, weights * kept
    d_context = (
        product(moved, operands.value, 0, 0)
        - result.context * d_lse[:, None]
        + product(d.value, weights, 0, 0).T
    )
    return Read(d_context, d_lse)


def weights_of(
    static: Static, operands: Operands, setting: Setting, lse: Float[Array, " c"]
) -> Float[Array, "c s"]:
    """The weights themselves, before dropout, from what `read` returned beside the context."""
    scores, allowed = scores_of(static, operands, setting)
    return _exponentials(scores, jnp.where(lse == -jnp.inf, 0.0, lse)[:, None], allowed)


def _exponentials(scores: Any, shift: Any, allowed: Any) -> Any:
    if allowed is None:
        return jnp.exp(scores - shift)
    # Masked scores take the shift before the exponential, so that no gradient is NaN.
    return jnp.where(allowed, jnp.exp(jnp.where(allowed, scores, shift) - shift), 0.0)
