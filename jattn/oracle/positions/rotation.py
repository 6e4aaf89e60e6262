"""Rotary positions in NumPy, one pair of features at a time, with the gradient derived by hand."""

import numpy as np


def rotary(inputs, positions, *, base=10000.0):
    """Returns (outputs, pullback), as `jax.vjp` does.

    Each pair is turned by an angle that is no input, y = R(a) x, so dx = R(a)ᵀ dy = R(-a) dy.
    Positions are whole numbers and have no gradient.
    """
    real = np.result_type(inputs).type(0).real.dtype.type

    def turned(rows, sign):
        result = np.zeros_like(rows)
        for row, position in enumerate(positions):
            for pair in range(0, rows.shape[1], 2):
                angle = sign * real(position) / real(base) ** (real(pair) / rows.shape[1])
                matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
                result[row, pair : pair + 2] = matrix @ rows[row, pair : pair + 2]
        return result

    return turned(inputs, 1), lambda d_outputs: (turned(d_outputs, -1),)
