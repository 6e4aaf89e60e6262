"""Softmax and its relatives in NumPy, one row at a time."""

import numpy as np

from jattn.oracle.normalizers.by_row import by_row


@by_row
def softmax(scores):
    """Returns a = exp(e) / Σ exp(e), so ∂a_i/∂e_j = a_i (δ_ij - a_j) and de = a ∘ (da - a · da)."""
    exponentials = np.exp(scores - scores.real.max())
    weights = exponentials / exponentials.sum()
    return weights, lambda d_weights: weights * (d_weights - weights @ d_weights)


@by_row
def off_by_one_softmax(scores):
    """Returns a = exp(e) / (1 + Σ exp(e)), whose derivative in terms of a is that of softmax."""
    largest = max(scores.real.max(), 0.0)
    exponentials = np.exp(scores - largest)
    weights = exponentials / (np.exp(-largest) + exponentials.sum())
    return weights, lambda d_weights: weights * (d_weights - weights @ d_weights)


def scalable_softmax(scores, mask=None, *, strength=1.0):
    """Returns a = softmax(c e) with c = strength log n in a row of n scores.

    With the derivative d(c e) of softmax, de = c d(c e), and the derivative with respect to the
    strength is the sum of log(n) e d(c e) over all scores that count.
    """
    kept = np.ones(scores.shape, bool) if mask is None else mask
    sizes = np.log(np.maximum(kept.sum(1), 1))[:, None]
    weights, of_softmax = softmax(strength * sizes * scores, mask)

    def pullback(d_weights):
        (d_scaled,) = of_softmax(d_weights)
        d_strength = sum((d_scaled[kept] * (sizes * scores)[kept]).tolist(), 0 * strength)
        return strength * sizes * d_scaled, np.asarray(d_strength)

    return weights, pullback


@by_row
def top_k_softmax(scores, *, count):
    """Returns the softmax of the `count` largest scores, so the others have no derivative.

    Scores are taken one after the other, each time the first of the largest ones that are left.
    """
    left = list(range(len(scores)))
    taken = []
    while left and len(taken) < count:
        best = max(left, key=lambda index: (scores[index].real, -index))
        left.remove(best)
        taken.append(best)
    weights = np.zeros_like(scores)
    if not taken:
        return weights, lambda d_weights: np.zeros_like(d_weights)
    exponentials = np.exp(scores[taken] - scores[taken].real.max())
    weights[taken] = exponentials / exponentials.sum()
    return weights, lambda d_weights: weights * (d_weights - weights @ d_weights)


@by_row
def straight_through_softmax(scores):
    """Returns the unit vector of the first largest score, with the pullback of softmax.

    Differences of softmax from its real part are added, so that its derivatives are those of a
    complex step.
    """
    soft, of_softmax = softmax.row_map(scores)
    unit = np.zeros(len(scores), soft.dtype)
    unit[int(np.argmax(scores.real))] = 1
    return unit + (soft - soft.real), of_softmax


@by_row
def softpick(scores, *, epsilon=1e-8):
    """Returns a = max(p, 0) / T, where p = exp(e) - 1 and T = Σ |p| + epsilon.

    With s the sign of p: dp = exp(e) de and dT = Σ s dp, so
    dL/dp_j = ([p_j > 0] da_j - s_j Σ a da) / T. All is divided by the largest exponential.
    """
    largest = max(scores.real.max(), 0.0)
    one = np.exp(-largest)
    exponentials = np.exp(scores - largest)
    # Close to 0 the difference of exponentials would lose its digits.
    is_small = np.abs(scores) < 1
    parts = np.where(is_small, one * np.expm1(np.where(is_small, scores, 0)), exponentials - one)
    signs = np.sign(parts.real)
    total = (signs * parts).sum() + epsilon * one
    total = total if total != 0 else total + 1
    weights = np.where(signs > 0, parts, 0) / total

    def pullback(d_weights):
        d_parts = ((signs > 0) * d_weights - signs * (weights @ d_weights)) / total
        return exponentials * d_parts

    return weights, pullback
