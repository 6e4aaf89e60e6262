"""Weights of each score alone in NumPy, one row at a time."""

import numpy as np

from jattn.oracle.normalizers.by_row import by_row


@by_row
def sigmoid(scores):
    """Returns a = 1 / (1 + exp(-e)), so de = a (1 - a) da, with 1 - a = 1 / (1 + exp(e))."""
    weights, complements = _logistic(scores), _logistic(-scores)
    return weights, lambda d_weights: weights * complements * d_weights


@by_row
def scaled_relu(scores):
    """Returns a = max(e, 0) / n in a row of n scores, so de = da / n where e is positive."""
    positive = scores.real > 0
    weights = np.where(positive, scores, 0) / len(scores)
    return weights, lambda d_weights: np.where(positive, d_weights, 0) / len(scores)


def _logistic(scores):
    """Returns 1 / (1 + exp(-e)) without overflow."""
    small = np.exp(np.where(scores.real < 0, scores, -scores))
    return np.where(scores.real < 0, small, 1) / (1 + small)
