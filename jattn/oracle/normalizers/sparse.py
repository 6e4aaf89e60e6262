"""Projections onto the simplex in NumPy, one row at a time."""

import numpy as np

from jattn.oracle.normalizers.by_row import by_row


@by_row
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


@by_row
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
