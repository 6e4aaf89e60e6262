"""Weights that are exactly zero for low scores: projections onto the simplex."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jattn._axes import named_axes
from jattn._precision import at_least_float32
from jattn.normalizers.counted import Allowed, Scores, Weights, counted, largest_of, size_of

Counts = Float[Array, "1 s"]


@named_axes
@at_least_float32
def sparsemax(scores: Scores, mask: Allowed = None) -> Weights:
    """Returns the closest point of the simplex: weights[s] = max(scores[s] - threshold, 0).

    The threshold makes a row sum to one. Source: Martins & Astudillo (2016), arXiv:1602.02068.

    Raises:
        ValueError: if scores and mask disagree about an axis, or the mask is not boolean.
    """
    mask, scores = counted(scores, mask)
    # Scores far below the maximum get no weight, but their sums would overflow.
    scores = jnp.maximum(scores - largest_of(scores, mask), -2.0)
    support = _support(_sparsemax_thresholds, scores, mask)
    size = size_of(support, scores.dtype)
    threshold = (jnp.where(support, scores, 0.0).sum(-1, keepdims=True) - 1.0) / size
    return jnp.where(support, scores - threshold, 0.0)


@named_axes
@at_least_float32
def entmax15(scores: Scores, mask: Allowed = None) -> Weights:
    """Returns weights between softmax and sparsemax: max(scores[s] / 2 - threshold, 0)².

    The threshold makes a row sum to one. Source: Peters, Niculae & Martins (2019),
    arXiv:1905.05702, with alpha = 1.5.

    Raises:
        ValueError: if scores and mask disagree about an axis, or the mask is not boolean.
    """
    mask, scores = counted(scores, mask)
    halves = jnp.maximum((scores - largest_of(scores, mask)) / 2.0, -2.0)
    support = _support(_entmax15_thresholds, halves, mask)
    size = size_of(support, scores.dtype)
    mean = jnp.where(support, halves, 0.0).sum(-1, keepdims=True) / size
    spread = jnp.where(support, halves - mean, 0.0)
    room = (1.0 - (spread**2).sum(-1, keepdims=True)) / size
    return jnp.where(support, spread + jnp.sqrt(jnp.where(room > 0.0, room, 1.0)), 0.0) ** 2


def _support(
    thresholds: Callable[[Scores, Counts], Scores], scores: Scores, mask: Bool[Array, "t s"]
) -> Bool[Array, "t s"]:
    """Returns where the weights are positive, a constant to derivatives.

    Of the scores in falling order, it is all down to the last one above its threshold.
    """
    return _support_of_constants(thresholds, lax.stop_gradient(scores), lax.stop_gradient(mask))


@functools.partial(jax.jit, static_argnums=0)  # `jax.experimental.jet` has no rule for a sort.
def _support_of_constants(
    thresholds: Callable[[Scores, Counts], Scores], scores: Scores, mask: Bool[Array, "t s"]
) -> Bool[Array, "t s"]:
    limits = jnp.finfo(scores.dtype)
    ordered = -jnp.sort(-jnp.where(mask, scores, limits.min), axis=-1)
    counts = jnp.arange(1, scores.shape[-1] + 1, dtype=scores.dtype)[None, :]
    kept = counts <= mask.sum(-1, keepdims=True).astype(scores.dtype)
    inside = kept & (ordered > thresholds(jnp.where(kept, ordered, 0.0), counts))
    last = jnp.where(inside, ordered, limits.max).min(-1, keepdims=True, initial=limits.max)
    return mask & (scores >= last)


def _sparsemax_thresholds(ordered: Scores, counts: Counts) -> Scores:
    """Returns the threshold with which the first 1, 2, ... scores alone would sum to one."""
    return (jnp.cumsum(ordered, -1) - 1.0) / counts


def _entmax15_thresholds(ordered: Scores, counts: Counts) -> Scores:
    """Returns the same for halved scores, the largest number where there is none."""
    mean, square = (jnp.cumsum(power, -1) / counts for power in (ordered, ordered**2))
    room = (1.0 - counts * (square - mean**2)) / counts
    thresholds = mean - jnp.sqrt(jnp.maximum(room, 0.0))
    return jnp.where(room > 0.0, thresholds, jnp.finfo(ordered.dtype).max)
