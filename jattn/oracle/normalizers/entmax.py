"""Entmax of any order in NumPy, one row at a time, with its gradient derived by hand."""

from typing import Any

import numpy as np


def entmax(scores, mask=None, *, alpha=1.5):
    """Returns (weights, pullback); the pullback returns de and dα.

    On the support, a_i ** (α - 1) = (α - 1) e_i - τ. So with s_i = a_i ** (2 - α), and with
    r_i = (s_i e_i - a_i log a_i) / (α - 1) for the change with α at constant e and τ,

        da_i = s_i de_i + r_i dα - s_i dτ / (α - 1)

    and Σ da = 0 removes dτ. With m = Σ s w / Σ s for the cotangent w,

        de_i = s_i (w_i - m)      dα = Σ r_i (w_i - m)
    """
    learned = isinstance(alpha, np.ndarray | np.generic)
    dtype = np.result_type(scores, alpha) if learned else scores.dtype
    weights: Any = np.zeros(scores.shape, dtype)
    rows = []
    for row in range(len(scores)):
        kept = np.flatnonzero(np.ones(len(scores[row])) if mask is None else mask[row])
        if kept.size:
            rows.append((row, kept))
            weights[row, kept] = _of_a_row(scores[row, kept].astype(dtype), alpha)

    def pullback(d_weights):
        kind = np.result_type(dtype, d_weights)
        d_scores, d_alpha = np.zeros(scores.shape, kind), np.zeros((), kind)
        for row, kept in rows:
            support = kept[weights[row, kept].real > 0]
            share, score = weights[row, support], scores[row, support]
            score = score - score[np.argmax(share.real)]
            slope = share ** (2 - alpha)
            centred = d_weights[row, support] - slope @ d_weights[row, support] / slope.sum()
            d_scores[row, support] = slope * centred
            change = (slope * score - share * np.log(share)) / (alpha - 1)
            d_alpha = d_alpha + change @ centred
        return (d_scores, d_alpha) if learned else (d_scores,)

    return weights, pullback


def _of_a_row(scores, alpha):
    """Returns the weights of scores that all count.

    If the largest weight is w, another with a score lower by d is the power 1 / (α - 1) of
    w ** (α - 1) - (α - 1) d. Their sum grows with w, which is between 1/n and 1: it is halved in
    real numbers, and two Newton steps give the rest, its imaginary part too.
    """
    real = scores.real.dtype.type
    lower = scores[np.argmax(scores.real)] - scores

    def others(largest, drop, power):
        base = largest**power - power * drop
        inside = base.real > 0
        return np.where(inside, np.where(inside, base, 1) ** (1 / power), 0)

    low, high = 1 / real(len(scores)), real(1)
    for _ in range(80):
        middle = (low + high) / 2
        enough = others(middle, lower.real, np.real(alpha) - 1).sum() >= 1
        low, high = (low, middle) if enough else (middle, high)
    largest = high + 0 * scores[0]
    for _ in range(2):
        weights: Any = others(largest, lower, alpha - 1)
        support = weights.real > 0
        growth = (weights[support] ** (2 - alpha) * largest ** (alpha - 2)).sum()
        largest = largest + (1 - weights.sum()) / growth
    return others(largest, lower, alpha - 1)
