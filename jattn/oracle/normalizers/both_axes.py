"""Weights that depend on all queries, in NumPy: products of matrices with diagonal ones."""

import numpy as np


def _exponentials(scores, mask):
    """Returns exponentials of the scores that count, over each column's largest; others are zero.

    A factor of a column changes no weight.
    """
    kept = np.ones(scores.shape, bool) if mask is None else np.asarray(mask)
    result = np.zeros_like(scores)
    for column in np.flatnonzero(kept.any(0)):
        rows = kept[:, column]
        top = scores[rows, column].real.max()
        result[rows, column] = np.exp(scores[rows, column] - top)
    return kept, result


def over_sums(matrix, axis, wanted=None):
    """Returns (scaled, pullback): y = x w / S with the sums S along an axis, 0 where S is.

    dx = w (dy - Σ dy y / w) / S, with the sum along the same axis.
    """
    sums = matrix.sum(axis, keepdims=True)
    empty = sums == 0
    wanted = np.ones(sums.shape) if wanted is None else np.reshape(wanted, sums.shape)
    factor = np.where(empty, 0, wanted / np.where(empty, 1, sums))
    scaled = matrix * factor

    def pullback(d_scaled):
        along = (d_scaled * scaled).sum(axis, keepdims=True) / wanted
        return factor * (d_scaled - along)

    return scaled, pullback


def slot_softmax(scores, mask=None, *, epsilon=1e-8):
    """Returns (weights, pullback): columns over their sums, plus ε, then rows over theirs."""
    kept, powers = _exponentials(scores, mask)
    shares, of_columns = over_sums(powers, 0)
    weights, of_rows = over_sums(np.where(kept, shares + epsilon, 0), 1)
    return weights, lambda d: (powers * of_columns(np.where(kept, of_rows(d), 0)),)


def sinkhorn(scores, mask=None, *, steps=3):
    """Returns (weights, pullback) of matrices whose rows and columns are scaled in turn."""
    _, powers = _exponentials(scores.T, None if mask is None else np.asarray(mask).T)
    powers = powers.T  # Over the largest of each row, which the first step divides.
    weights, pullbacks = powers, []
    for step in range(steps):
        weights, of_step = over_sums(weights, (step + 1) % 2)
        pullbacks.append(of_step)
    if not steps:
        weights = np.where(powers == 0, 0, np.exp(np.where(powers == 0, 0, scores)))
        return weights, lambda d: (weights * d,)

    def pullback(d_weights):
        for each in reversed(pullbacks):
            d_weights = each(d_weights)
        return (powers * d_weights,)

    return weights, pullback


def dustbin_sinkhorn(scores, mask=None, *, dustbin=1.0, steps=100):
    """Returns (weights, pullback) of the matrix with dustbins, without queries or keys of padding.

    The matrix of exponentials has one more row and column of exp(z), so dz is the sum of its
    gradient there times exp(z). A pair that is masked stays zero.
    """
    kept = np.ones(scores.shape, bool) if mask is None else np.asarray(mask)
    learned = isinstance(dustbin, np.ndarray | np.generic)
    kind = np.result_type(scores, dustbin) if learned else scores.dtype
    queries, keys = np.flatnonzero(kept.any(1)), np.flatnonzero(kept.any(0))
    place = np.ix_(queries, keys)
    inner = np.zeros((len(queries) + 1, len(keys) + 1), kind) + dustbin
    inner[:-1, :-1] = scores[place]
    counts = np.ones(inner.shape, bool)
    counts[:-1, :-1] = kept[place]
    powers = np.where(counts, np.exp(np.where(counts, inner, 0) - inner.real[counts].max()), 0)
    matrix, pullbacks = powers, []
    for _ in range(steps):
        for axis, (own, other) in ((1, (queries, keys)), (0, (keys, queries))):
            wanted = np.array([*np.ones(len(own)), max(len(other), 1)])
            matrix, of_step = over_sums(matrix, axis, wanted)
            pullbacks.append(of_step)
    weights = np.zeros(scores.shape, kind)
    weights[place] = matrix[:-1, :-1]

    def pullback(d_weights):
        d_matrix = np.zeros(inner.shape, np.result_type(kind, d_weights))
        d_matrix[:-1, :-1] = d_weights[place]
        for each in reversed(pullbacks):
            d_matrix = each(d_matrix)
        d_inner = powers * d_matrix
        d_scores = np.zeros(scores.shape, d_inner.dtype)
        d_scores[place] = d_inner[:-1, :-1]
        d_dustbin = np.asarray(d_inner[-1].sum() + d_inner[:-1, -1].sum())
        return (d_scores, d_dustbin) if learned else (d_scores,)

    return weights, pullback
