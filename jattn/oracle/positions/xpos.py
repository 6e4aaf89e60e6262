"""Rotary positions that decay, in NumPy, one token at a time."""

import numpy as np

from jattn.oracle.positions.rotation import rotary


def xpos(inputs, positions, *, inverse=False, centre=0.0, scale_base=512.0, base=10000.0):
    """Returns (outputs, pullback).

    Each pair x of a token becomes z R x with z = ζ ** ±((p - c) / B), so dx = Rᵀ (z dy).
    """
    real = inputs.real.dtype.type
    pairs = inputs.shape[1] // 2
    turned, turn_pullback = rotary(inputs, positions, base=base)
    sizes = np.zeros((len(inputs), 2 * pairs), inputs.real.dtype)
    for token, place in enumerate(positions):
        steps = (real(place) - real(centre)) / real(scale_base)
        for pair in range(pairs):
            ratio = (real(pair) / pairs + real(4) / 10) / (real(14) / 10)
            size = ratio**steps
            sizes[token, 2 * pair : 2 * pair + 2] = 1 / size if inverse else size
    return turned * sizes, lambda d_outputs: turn_pullback(sizes * d_outputs)
