"""Weights by exponentials of the scores: softmax and its relatives."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jattn._axes import named_axes
from jattn._options import Count, NotNegative
from jattn._precision import at_least_float32
from jattn.normalizers.counted import Allowed, Scores, Weights, counted, finite, largest_of, size_of


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
def scalable_softmax(
    scores: Scores, mask: Allowed = None, *, strength: Float[Array, ""] | float = 1.0
) -> Weights:
    """Returns a softmax that stays sharp in long rows: softmax(strength log(n) scores).

    n is the number of scores of the row that count. A weight is n^(strength scores[s]) over the sum
    of these. The paper names the strength s and learns one for each head. Source: Nakanishi
    (2025), arXiv:2501.19399.

    Raises:
        ValueError: if scores and mask disagree about an axis, or the mask is not boolean.
    """
    mask, scores = counted(scores, mask)
    scale = strength * jnp.log(size_of(mask, scores.dtype))
    return softmax(scale * jnp.where(mask, scores, 0.0), mask)


@named_axes
@at_least_float32
def top_k_softmax(scores: Scores, mask: Allowed = None, *, count: Count) -> Weights:
    """Returns the softmax of the `count` largest scores of a row; other weights are zero.

    Of equal scores the first is kept. Gradients flow to the kept scores alone. Source: Gupta et al.
    (2021), arXiv:2106.06899.

    Raises:
        ValueError: if scores and mask disagree about an axis, the mask is not boolean, or count is
            negative.
    """
    mask, scores = counted(scores, mask)
    ranks = _ranks(lax.stop_gradient(jnp.where(mask, scores, jnp.finfo(scores.dtype).min)))
    return softmax(scores, mask & (ranks < count))


@named_axes
@at_least_float32
def straight_through_softmax(scores: Scores, mask: Allowed = None) -> Weights:
    """Returns one for the largest score of a row and zero for others, with softmax's derivatives.

    Of equal scores the first has the weight. The value is a choice and has no derivative; those of
    softmax take its place, in every mode. With `bias=jax.random.gumbel(rng, (t, s))` the choice
    is a sample of softmax: straight-through Gumbel-softmax, whose temperature divides scores and
    noise. Source: Jang, Gu & Poole (2017), arXiv:1611.01144.

    Raises:
        ValueError: if scores and mask disagree about an axis, or the mask is not boolean.
    """
    mask, scores = counted(scores, mask)
    ranks = _ranks(lax.stop_gradient(jnp.where(mask, scores, jnp.finfo(scores.dtype).min)))
    chosen = (mask & (ranks == 0)).astype(scores.dtype)
    soft = softmax(scores, mask)
    return chosen + (soft - lax.stop_gradient(soft))


@named_axes
@at_least_float32
def softpick(scores: Scores, mask: Allowed = None, *, epsilon: NotNegative = 1e-8) -> Weights:
    """Returns max(exp(scores[s]) - 1, 0) / (Σ |exp(scores) - 1| + epsilon).

    Scores of zero and below get no weight, but negative ones lower the other weights. So rows sum
    to at most one, and a row without positive scores attends to nothing. Epsilon is added as
    above. The authors' code divides all exponentials by the largest first. Source: Zuhri, Fuadi &
    Aji (2025), arXiv:2504.20966.

    Raises:
        ValueError: if scores and mask disagree about an axis, or the mask is not boolean.
    """
    mask, scores = counted(scores, mask)
    largest = jnp.maximum(largest_of(scores, mask), 0.0)
    one = jnp.exp(-largest)
    # exp(x) - 1 over exp(largest), without overflow, and without cancellation near x = 0.
    is_small = scores < 1.0
    small = one * jnp.expm1(jnp.where(is_small, scores, 1.0))
    large = jnp.exp(jnp.where(is_small, 1.0, scores) - largest) - one
    parts = jnp.where(mask, jnp.where(is_small, small, large), 0.0)
    total = (jnp.sign(parts) * parts).sum(-1, keepdims=True) + epsilon * one
    return jnp.where(parts > 0.0, parts, 0.0) / jnp.where(total == 0.0, 1.0, total)


def _exponentials(scores: Scores, mask: Allowed, *, sink: bool) -> Weights:
    above = lambda maximum: jnp.maximum(maximum, 0.0) if sink else maximum
    if mask is None and scores.shape[-1]:
        maximum = lax.stop_gradient(scores.max(-1, keepdims=True))
        # A row of -inf has exponentials of zero, if its maximum is not subtracted.
        maximum = above(jnp.where(maximum < jnp.finfo(scores.dtype).min, 0.0, maximum))
        exponentials = jnp.exp(finite(scores) - maximum)
    else:
        mask, scores = counted(scores, mask)
        maximum = above(largest_of(scores, mask))
        # Masked scores take the maximum before the exponential, so that no gradient is NaN, and
        # their exponentials are dropped after it.
        shifted = jnp.where(mask, scores, maximum) - maximum
        exponentials = jnp.where(mask, jnp.exp(shifted), 0.0)
    total = exponentials.sum(-1, keepdims=True)
    total = total + jnp.exp(-maximum) if sink else total
    return exponentials / jnp.where(total == 0.0, 1.0, total)


@jax.jit  # `jax.experimental.jet` has no rule for a sort.
def _ranks(scores: Scores) -> Int[Array, "t s"]:
    """Returns how many scores of a row come before each one in falling order. Ties keep theirs."""
    return jnp.argsort(jnp.argsort(-scores, axis=-1, stable=True), axis=-1)
