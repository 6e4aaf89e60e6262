"""Biases that depend on the sequence in NumPy, one pair of query and key at a time."""

import numpy as np


def forgetting_bias(log_forget, *, queries=None, offset=0):
    """Returns (bias, pullback): b_ts = Σ g_r over s < r ≤ t + offset, so dg_r = Σ db_ts of these.

    Past the last gate there is nothing to add.
    """
    keys = len(log_forget)
    shape = (keys if queries is None else queries, keys)
    between = lambda t, s: slice(s + 1, max(t + int(offset), s) + 1)
    bias = np.zeros(shape, log_forget.dtype)
    for t, s in np.ndindex(shape):
        bias[t, s] = log_forget[between(t, s)].sum()

    def pullback(d_bias):
        d_log_forget = np.zeros(keys, np.result_type(log_forget, d_bias))
        for t, s in np.ndindex(shape):
            d_log_forget[between(t, s)] += d_bias[t, s]
        return (d_log_forget,)

    return bias, pullback


def selective_bias(selection):
    """Returns (bias, pullback).

    A positive S_rs with 0 < s < r lowers b_ts by itself for each t > r, so dS_rs = -Σ db_ts there.
    """
    bias = np.zeros_like(selection)
    hiding = [
        (r, s) for r, s in np.ndindex(selection.shape) if 0 < s < r and selection[r, s].real > 0
    ]
    for r, s in hiding:
        bias[r + 1 :, s] -= selection[r, s]

    def pullback(d_bias):
        d_selection = np.zeros(selection.shape, np.result_type(selection, d_bias))
        for r, s in hiding:
            d_selection[r, s] = -d_bias[r + 1 :, s].sum()
        return (d_selection,)

    return bias, pullback
