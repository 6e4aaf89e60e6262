"""Changes of frequencies in NumPy, one pair at a time, with gradients derived by hand."""

import numpy as np


def each_pair(frequencies, change):
    """Returns (outputs, pullback) where `change(i, f)` returns a pair's frequency and its slope."""
    changed = [change(pair, frequency) for pair, frequency in enumerate(frequencies)]
    outputs = np.array([frequency for frequency, _ in changed], frequencies.dtype)

    def pullback(d_outputs):
        slopes = np.array([slope for _, slope in changed], frequencies.dtype)
        return (slopes * d_outputs,)

    return outputs, pullback


def interpolated_frequencies(frequencies, *, factor):
    """Returns (outputs, pullback): y = f / s, so df = dy / s."""
    return each_pair(frequencies, lambda _, f: (f / factor, 1 / factor))


def ntk_frequencies(frequencies, *, factor):
    """Returns (outputs, pullback).

    Every pair is slower than the one before it by the same ratio more, r = s ** (1 / (n - 1)), so
    y_i = f_i / rⁱ and df_i = dy_i / rⁱ.
    """
    real = frequencies.real.dtype.type
    ratio = real(factor) ** (1 / real(max(len(frequencies) - 1, 1)))
    return each_pair(frequencies, lambda pair, f: (f / ratio**pair, 1 / ratio**pair))
