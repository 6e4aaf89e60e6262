"""Normalizers in NumPy, one row at a time: masked scores are left out, never set to -inf."""

import numpy as np


def _by_row(row_map):
    """Returns the normalizer that applies `row_map` to the kept scores of each row.

    `row_map(scores)` returns (weights, pullback) of one row.
    """

    def normalizer(scores, mask=None):
        weights = np.zeros_like(scores)
        rows = []
        for row in range(len(scores)):
            kept = np.flatnonzero(mask[row]) if mask is not None else np.arange(scores.shape[1])
            pullback_of_row = None
            if kept.size:
                weights[row, kept], pullback_of_row = row_map(scores[row, kept])
            rows.append((kept, pullback_of_row))

        def pullback(d_weights):
            d_scores = np.zeros(scores.shape, np.result_type(scores, d_weights))
            for row, (kept, pullback_of_row) in enumerate(rows):
                if kept.size:
                    d_scores[row, kept] = pullback_of_row(d_weights[row, kept])
            return (d_scores,)

        return weights, pullback

    normalizer.__name__, normalizer.__doc__ = row_map.__name__, row_map.__doc__
    return normalizer


@_by_row
def softmax(scores):
    """Returns a = exp(e) / Σ exp(e), so ∂a_i/∂e_j = a_i (δ_ij - a_j) and de = a ∘ (da - a · da)."""
    exponentials = np.exp(scores - scores.real.max())
    weights = exponentials / exponentials.sum()
    return weights, lambda d_weights: weights * (d_weights - weights @ d_weights)


@_by_row
def off_by_one_softmax(scores):
    """Returns a = exp(e) / (1 + Σ exp(e)), whose derivative in terms of a is that of softmax."""
    largest = max(scores.real.max(), 0.0)
    exponentials = np.exp(scores - largest)
    weights = exponentials / (np.exp(-largest) + exponentials.sum())
    return weights, lambda d_weights: weights * (d_weights - weights @ d_weights)


@_by_row
def sigmoid(scores):
    """Returns a = 1 / (1 + exp(-e)), so de = a (1 - a) da, with 1 - a = 1 / (1 + exp(e))."""
    weights, complements = _logistic(scores), _logistic(-scores)
    return weights, lambda d_weights: weights * complements * d_weights


@_by_row
def sparsemax(scores):
    """Returns a = max(e - τ, 0) with Σ a = 1.

    On the support of size k, τ = (Σ e - 1) / k, so de = da - mean(da) there and 0 elsewhere. The
    support is found by dropping scores below the threshold until none is. Since τ is at least
    max(e) - 1, no score that far below the largest is in it.
    """
    scores = scores - scores.real.max()
    support = scores.real > -1
    while True:
        threshold = (scores[support].sum() - 1) / support.sum()
        dropped = support & (scores.real <= threshold.real)
        if not dropped.any():
            break
        support &= ~dropped

    def pullback(d_weights):
        return np.where(support, d_weights - d_weights[support].mean(), 0)

    return np.where(support, scores - threshold, 0), pullback


@_by_row
def entmax15(scores):
    """Returns a = max(e/2 - τ, 0)² with Σ a = 1.

    With r = √a on the support, Σ r² = 1 gives Σ r (de/2 - dτ) = 0, so dτ = Σ r de / (2 Σ r) and
    da = 2 r (de/2 - dτ): the Jacobian is diag(r) - r rᵀ / Σ r, symmetric. The k largest scores are
    the support for the one k whose threshold is below the k-th half and not below the next. Since
    τ is at least max(e/2) - 1, no half that far below the largest is in it.
    """
    halves = (scores - scores.real.max()) / 2
    order = np.argsort(-halves.real, kind="stable")
    for size in range((halves.real > -1).sum(), 0, -1):
        support = order[:size]
        mean = halves[support].mean()
        room = (1 - ((halves[support] - mean) ** 2).sum()) / size
        if room.real >= 0 and (mean - np.sqrt(room)).real < halves[support[-1]].real:
            break
    roots = np.zeros_like(halves)
    roots[support] = halves[support] - (mean - np.sqrt(room))
    return roots**2, lambda d_weights: roots * (d_weights - roots @ d_weights / roots.sum())


def _logistic(scores):
    """Returns 1 / (1 + exp(-e)) without overflow."""
    small = np.exp(np.where(scores.real < 0, scores, -scores))
    return np.where(scores.real < 0, small, 1) / (1 + small)
