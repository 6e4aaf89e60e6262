"""Normalizers: functions that map each row of scores to a row of weights.

Each takes `(scores [t s], mask)` and returns `weights [t s]` in the dtype of the scores. `mask` is
True where a score counts: an array, a mask of `jattn.masks`, or None where all do. A score of -inf
does not count either. Scores that do not count influence nothing, and a row without any that
counts gets weight zero everywhere. Shapes that disagree, and masks that are not boolean, raise
ValueError.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jattn._axes import named_axes
from jattn._precision import at_least_float32
from jattn.masks.algebra import Mask, as_array

Scores = Float[Array, "t s"]
Weights = Float[Array, "t s"]
Counts = Float[Array, "1 s"]
Allowed = Bool[Array, "t s"] | Mask | None
Normalizer = Callable[[Scores, Allowed], Weights]


@named_axes
@at_least_float32
def softmax(scores: Scores, mask: Allowed = None) -> Weights:
    """Returns exponentials over their sum: weights[s] = exp(scores[s]) / Σ exp(scores).

    The row's maximum is subtracted first, so that no exponential overflows. Source: Bridle (1990),
    "Probabilistic Interpretation of Feedforward Classification Network Outputs".

    Raises:
        ValueError: if scores and mask disagree about an axis, or the mask is not boolean.
    """
    return _exponentials(scores, mask, sink=False)


@named_axes
@at_least_float32
def off_by_one_softmax(scores: Scores, mask: Allowed = None) -> Weights:
    """Returns a softmax that may attend to nothing: exp(scores[s]) / (1 + Σ exp(scores)).

    It is the softmax with one more key, of score zero and value zero. Source: Miller (2023),
    "Attention Is Off By One", who calls it softmax1.

    Raises:
        ValueError: if scores and mask disagree about an axis, or the mask is not boolean.
    """
    return _exponentials(scores, mask, sink=True)


@named_axes
@at_least_float32
def sigmoid(scores: Scores, mask: Allowed = None) -> Weights:
    """Returns the logistic function of each score: weights[s] = 1 / (1 + exp(-scores[s])).

    Rows do not sum to one. Source: Ramapuram et al. (2024), arXiv:2409.04431, who add a bias of
    -log(number of keys) to the scores: pass it as `bias`.

    Raises:
        ValueError: if scores and mask disagree about an axis, or the mask is not boolean.
    """
    mask, scores = _counted(scores, mask)
    return jnp.where(mask, jax.nn.sigmoid(scores), 0.0)


@named_axes
@at_least_float32
def sparsemax(scores: Scores, mask: Allowed = None) -> Weights:
    """Returns the closest point of the simplex: weights[s] = max(scores[s] - threshold, 0).

    The threshold makes a row sum to one. Source: Martins & Astudillo (2016), arXiv:1602.02068.

    Raises:
        ValueError: if scores and mask disagree about an axis, or the mask is not boolean.
    """
    mask, scores = _counted(scores, mask)
    # Scores far below the maximum get no weight, but their sums would overflow.
    scores = jnp.maximum(scores - _maximum(scores, mask), -2.0)
    support = _support(_sparsemax_thresholds, scores, mask)
    size = jnp.maximum(support.sum(-1, keepdims=True), 1).astype(scores.dtype)
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
    mask, scores = _counted(scores, mask)
    halves = jnp.maximum((scores - _maximum(scores, mask)) / 2.0, -2.0)
    support = _support(_entmax15_thresholds, halves, mask)
    size = jnp.maximum(support.sum(-1, keepdims=True), 1).astype(scores.dtype)
    mean = jnp.where(support, halves, 0.0).sum(-1, keepdims=True) / size
    spread = jnp.where(support, halves - mean, 0.0)
    room = (1.0 - (spread**2).sum(-1, keepdims=True)) / size
    return jnp.where(support, spread + jnp.sqrt(jnp.where(room > 0.0, room, 1.0)), 0.0) ** 2


def _exponentials(scores: Scores, mask: Allowed, *, sink: bool) -> Weights:
    above = lambda maximum: jnp.maximum(maximum, 0.0) if sink else maximum
    if mask is None and scores.shape[-1]:
        maximum = lax.stop_gradient(scores.max(-1, keepdims=True))
        # A row of -inf has exponentials of zero, if its maximum is not subtracted.
        maximum = above(jnp.where(maximum < jnp.finfo(scores.dtype).min, 0.0, maximum))
        exponentials = jnp.exp(_finite(scores) - maximum)
    else:
        mask, scores = _counted(scores, mask)
        maximum = above(_maximum(scores, mask))
        # Masked scores take the maximum before the exponential, so that no gradient is NaN, and
        # their exponentials are dropped after it.
        shifted = jnp.where(mask, scores, maximum) - maximum
        exponentials = jnp.where(mask, jnp.exp(shifted), 0.0)
    total = exponentials.sum(-1, keepdims=True)
    total = total + jnp.exp(-maximum) if sink else total
    return exponentials / jnp.where(total == 0.0, 1.0, total)


def _counted(scores: Scores, mask: Allowed) -> tuple[Bool[Array, "t s"], Scores]:
    """Returns which scores count, and finite numbers in place of those that do not."""
    mask = as_array(mask, *scores.shape)
    scores = scores if mask is None else jnp.where(mask, scores, 0.0)
    infinite = scores < jnp.finfo(scores.dtype).min
    return ~infinite if mask is None else mask & ~infinite, _finite(scores)


def _finite(scores: Scores) -> Scores:
    """Returns the scores with the lowest number in place of -inf.

    The select also keeps XLA from contracting `x * c - maximum` into one rounding, where `maximum`
    was rounded twice: the largest difference would be half an ulp instead of zero, and its
    exponential infinite.
    """
    lowest = jnp.finfo(scores.dtype).min
    return jnp.where(scores < lowest, lowest, scores)


def _maximum(scores: Scores, mask: Bool[Array, "t s"]) -> Float[Array, "t 1"]:
    """Returns the largest allowed score, a constant to derivatives: no weight depends on it."""
    lowest = jnp.finfo(scores.dtype).min  # Finite, so that an empty row stays finite.
    allowed = jnp.where(mask, scores, lowest)
    return lax.stop_gradient(allowed.max(-1, keepdims=True, initial=lowest))


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
