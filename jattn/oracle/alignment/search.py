"""Monotonic alignment search in NumPy: all paths, one after another."""

import itertools

import numpy as np


def monotonic_alignment_search(log_likelihoods, *, query_length=None, key_length=None):
    """Returns (path, pullback): the best of all paths, which has no gradient.

    A path of t queries over s keys is given by the s - 1 queries, after the first, that move on.
    """
    t = len(log_likelihoods) if query_length is None else int(query_length)
    s = log_likelihoods.shape[1] if key_length is None else int(key_length)
    best, highest = np.zeros(log_likelihoods.shape), -np.inf
    for moves in itertools.combinations(range(1, t), s - 1) if 0 < s <= t else ():
        path = np.zeros(log_likelihoods.shape)
        for row in range(t):
            path[row, sum(move <= row for move in moves)] = 1
        total = (path * log_likelihoods.real).sum()
        if total > highest:
            best, highest = path, total
    return best, lambda d_path: (
        np.zeros(log_likelihoods.shape, np.result_type(log_likelihoods, d_path)),
    )
