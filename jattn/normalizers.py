"""Normalizers: one row of scores to one row of weights.

Each takes `(scores [t s], mask)` and returns `weights [t s]`. A masked score influences nothing,
and a query whose keys are all masked gets weight zero everywhere.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jattn._axes import named_axes
from jattn._precision import at_least_float32
from jattn.masks.algebra import Mask, as_array

Scores = Float[Array, "t s"]
Weights = Float[Array, "t s"]
Allowed = Bool[Array, "t s"] | Mask | None
Normalizer = Callable[[Scores, Allowed], Weights]


@named_axes
@at_least_float32
def softmax(scores: Scores, mask: Allowed = None) -> Weights:
    """Exponentials over their sum: weights[s] = exp(scores[s]) / Σ exp(scores).

    The row's maximum is subtracted first, so that nothing overflows.
    """
    return _exponentials(scores, mask, sink=False)


@named_axes
@at_least_float32
def off_by_one_softmax(scores: Scores, mask: Allowed = None) -> Weights:
    """Softmax that may attend to nothing: weights[s] = exp(scores[s]) / (1 + Σ exp(scores)).

    It is the softmax with one more key of score zero and value zero. Source: Miller (2023),
    "Attention Is Off By One", who calls it softmax1.
    """
    return _exponentials(scores, mask, sink=True)


@named_axes
@at_least_float32
def sigmoid(scores: Scores, mask: Allowed = None) -> Weights:
    """Each weight for itself: weights[s] = 1 / (1 + exp(-scores[s])).

    Rows do not sum to one. Source: Ramapuram et al. (2024), arXiv:2409.04431, who add a bias of
    -log(number of keys) to the scores: pass it as `bias`.
    """
    mask, scores = _hide(scores, mask)
    return jnp.where(mask, jax.nn.sigmoid(scores), 0.0)


@named_axes
@at_least_float32
def sparsemax(scores: Scores, mask: Allowed = None) -> Weights:
    """The closest point of the simplex: weights[s] = max(scores[s] - threshold, 0).

    The threshold makes a row sum to one. Source: Martins & Astudillo (2016), arXiv:1602.02068.
    """
    mask, scores = _hide(scores, mask)
    # Far below the maximum there is no weight, but sums of such numbers overflow.
    scores = jnp.maximum(scores - _maximum(scores, mask), -2.0)
    counts, ordered, kept = _ordered(scores, mask)
    thresholds = (jnp.cumsum(jnp.where(kept, ordered, 0.0), -1) - 1.0) / counts
    support = _support(scores, mask, ordered, kept & (ordered > thresholds))
    size = jnp.maximum(support.sum(-1, keepdims=True), 1).astype(scores.dtype)
    threshold = (jnp.where(support, scores, 0.0).sum(-1, keepdims=True) - 1.0) / size
    return jnp.where(support, scores - threshold, 0.0)


@named_axes
@at_least_float32
def entmax15(scores: Scores, mask: Allowed = None) -> Weights:
    """Between softmax and sparsemax: weights[s] = max(scores[s] / 2 - threshold, 0)².

    The threshold makes a row sum to one. Source: Peters, Niculae & Martins (2019),
    arXiv:1905.05702, with alpha = 1.5.
    """
    mask, scores = _hide(scores, mask)
    halves = jnp.maximum((scores - _maximum(scores, mask)) / 2.0, -2.0)
    counts, ordered, kept = _ordered(halves, mask)
    allowed = jnp.where(kept, ordered, 0.0)
    mean, square = (jnp.cumsum(power, -1) / counts for power in (allowed, allowed**2))
    room = (1.0 - counts * (square - mean**2)) / counts
    thresholds = mean - jnp.sqrt(jnp.maximum(room, 0.0))
    support = _support(halves, mask, ordered, kept & (ordered > thresholds) & (room > 0.0))
    size = jnp.maximum(support.sum(-1, keepdims=True), 1).astype(scores.dtype)
    mean = jnp.where(support, halves, 0.0).sum(-1, keepdims=True) / size
    spread = jnp.where(support, halves - mean, 0.0)
    room = (1.0 - (spread**2).sum(-1, keepdims=True)) / size
    return jnp.where(support, spread + jnp.sqrt(jnp.where(room > 0.0, room, 1.0)), 0.0) ** 2


def _exponentials(scores: Scores, mask: Allowed, *, sink: bool) -> Weights:
    mask, scores = _hide(scores, mask)
    maximum = _maximum(scores, mask)
    maximum = jnp.maximum(maximum, 0.0) if sink else maximum
    # Masked scores take the maximum before the exponential, so that no gradient is NaN, and their
    # exponentials are dropped after it.
    shifted = jnp.where(mask, scores, maximum) - maximum
    exponentials = jnp.where(mask, jnp.exp(shifted), 0.0)
    total = exponentials.sum(-1, keepdims=True)
    total = total + jnp.exp(-maximum) if sink else total
    return exponentials / jnp.where(total == 0.0, 1.0, total)


def _hide(scores: Scores, mask: Allowed) -> tuple[Bool[Array, "t s"], Scores]:
    mask = as_array(mask, *scores.shape)
    if mask is None:
        return jnp.ones(scores.shape, bool), scores
    return mask, jnp.where(mask, scores, 0.0)


def _maximum(scores: Scores, mask: Bool[Array, "t s"]) -> Float[Array, "t 1"]:
    """The largest score that is allowed, a constant to derivatives: weights do not depend on it."""
    lowest = jnp.finfo(scores.dtype).min  # Finite, so that an empty row stays finite.
    return jax.lax.stop_gradient(scores.max(-1, keepdims=True, where=mask, initial=lowest))


def _ordered(scores, mask):
    """Counts 1, 2, ..., the allowed scores in falling order, and which places hold one."""
    lowest = jnp.finfo(scores.dtype).min
    constant = jax.lax.stop_gradient(scores)
    ordered = -jnp.sort(-jnp.where(mask, constant, lowest), axis=-1)
    counts = jnp.arange(1, scores.shape[-1] + 1, dtype=scores.dtype)[None, :]
    return counts, ordered, counts <= mask.sum(-1, keepdims=True).astype(scores.dtype)


def _support(scores, mask, ordered, inside):
    """The scores that get weight: those not below the last one in order that is `inside`."""
    highest = jnp.finfo(scores.dtype).max
    last = jnp.min(ordered, -1, keepdims=True, where=inside, initial=highest)
    return mask & (jax.lax.stop_gradient(scores) >= last)
