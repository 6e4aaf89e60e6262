"""Entmax of any order: Peters, Niculae & Martins (2019), arXiv:1905.05702.

The order can be learned: Correia, Niculae & Martins (2019), arXiv:1909.00015.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jattn._axes import named_axes
from jattn._options import Positive
from jattn._precision import at_least_float32
from jattn.normalizers.counted import Allowed, Scores, Weights, counted, largest_of, size_of

NEWTON = 12  # Steps to the threshold for orders up to 2, for which they converge from below.
HALVINGS = 60  # Steps for larger orders.
REFINED = 2  # Steps that are differentiated; they give the first three derivatives.

Order = Float[Array, ""]


@named_axes
@at_least_float32
def entmax(
    scores: Scores, mask: Allowed = None, *, alpha: Float[Array, ""] | Positive = 1.5
) -> Weights:
    """Returns weights between softmax and sparsemax, or beyond, by their order `alpha`.

        weights[s] = max(1 + (alpha - 1) (scores[s] - threshold), 0) ** (1 / (alpha - 1))

    The threshold makes a row sum to one. Order 1 is softmax, the limit of these powers, 1.5 is
    `entmax15` and 2 `sparsemax`. Weights are differentiable with respect to the order too, which
    a model may learn for each head; the first three derivatives are exact. In float32, orders
    above 2.5 lose digits, since weights are then very steep at the edge of the support. The papers
    have τ = (alpha - 1) threshold - 1.

    Raises:
        ValueError: if scores and mask disagree about an axis, the mask is not boolean, or alpha is
            not a finite number above 0.
    """
    mask, scores = counted(scores, mask)
    power = jnp.asarray(alpha, scores.dtype) - 1.0
    lowest = -(float(jnp.finfo(scores.dtype).max) ** 0.5)  # No power times a score overflows.
    below = scores - largest_of(scores, mask)
    below = jnp.where(mask & (below > lowest), below, lowest)
    top = _log_of_largest(*map(lax.stop_gradient, (below, mask, power)))
    for _ in range(REFINED):
        weights, slopes = _weights_and_slopes(below, mask, power, top)
        top = top - (_total(weights) - 1.0) / _divisor(_total(slopes))
    return _weights_and_slopes(below, mask, power, top)[0]


def _weights_and_slopes(
    below: Scores, mask: Bool[Array, "t s"], power: Order, top: Float[Array, "t 1"]
) -> tuple[Weights, Weights]:
    """Returns weights of which the logarithm of the largest is `top`, and their slopes in it.

    With x = power below / largest ** power, a weight is largest (1 + x) ** (1 / power).
    """
    inner = below * jnp.exp(-power * top)
    inside = mask & (1.0 + power * inner > 0.0)
    inner = jnp.where(inside, inner, 0.0)
    scaled = power * inner
    weights = jnp.exp(top + inner * _log1p_ratio(scaled))
    slopes = weights / (1.0 + scaled)
    return jnp.where(inside, weights, 0.0), jnp.where(inside, slopes, 0.0)


@jax.jit  # Of constants: `jax.experimental.jet` has no rule for a loop.
def _log_of_largest(below: Scores, mask: Bool[Array, "t s"], power: Order) -> Float[Array, "t 1"]:
    """Returns the logarithm of the largest weight of a row, whose score is 0.

    Newton's method for the threshold is applied to (Σ weights ** power - 1) / power. It falls, is
    convex for orders up to 2, and is a line where all scores are equal.
    """
    sizes = jnp.log(size_of(mask, below.dtype))
    of_threshold = lambda threshold: -threshold * _log1p_ratio(-power * threshold)

    def narrow(_, interval):
        low, high, threshold = interval
        top = of_threshold(threshold)
        weights, slopes = _weights_and_slopes(below, mask, power, top)
        excess = jnp.log(_divisor(_total(weights)))
        step = excess * _expm1_ratio(-power * excess) * _total(weights)
        low = jnp.where(step > 0.0, threshold, low)
        high = jnp.where(step > 0.0, high, threshold)
        moved = threshold + step / _divisor(_total(slopes)) * jnp.exp(power * top)
        use = (power <= 1.0) & (moved <= high)
        return low, high, jnp.where(use, moved, (low + high) / 2)

    steps = jnp.where(power <= 1.0, NEWTON, HALVINGS)
    start = jnp.zeros_like(sizes), sizes * _expm1_ratio(-power * sizes), jnp.zeros_like(sizes)
    return of_threshold(lax.fori_loop(0, steps, narrow, start)[2])


def _log1p_ratio(x: Scores) -> Scores:
    """Returns log(1 + x) / x, which is 1 at 0, so that its derivatives keep their digits there."""
    near = jnp.abs(lax.stop_gradient(x)) < 0.1
    small, other = jnp.where(near, x, 0.0), jnp.where(near, 1.0, x)
    half = small / (2.0 + small)  # Of log(1 + x) = 2 artanh(half).
    square, series = half * half, jnp.full_like(x, 1.0 / 13.0)
    for odd in (11.0, 9.0, 7.0, 5.0, 3.0, 1.0):
        series = series * square + 1.0 / odd
    return jnp.where(near, 2.0 / (2.0 + small) * series, jnp.log1p(other) / other)


def _expm1_ratio(x: Scores) -> Scores:
    """Returns (exp(x) - 1) / x, which is 1 at 0."""
    return jnp.where(x == 0.0, 1.0, jnp.expm1(x) / _divisor(x))


def _total(weights: Weights) -> Float[Array, "t 1"]:
    return weights.sum(-1, keepdims=True)


def _divisor(numbers: Array) -> Array:
    return jnp.where(numbers == 0.0, 1.0, numbers)
