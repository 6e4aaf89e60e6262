"""Rotary positions in NumPy, one pair of features at a time, with the gradient derived by hand."""

import numpy as np


def rotary(inputs, positions, *, base=10000.0, frequencies=None):
    """Returns (outputs, pullback), as `jax.vjp` does.

    Each pair is rotated by an angle a = p f of its position and frequency, y = R(a) x, so that

        dx = R(a)ᵀ dy = R(-a) dy,    da = dy · R'(a) x = dy_2 y_1 - dy_1 y_2
        dp = Σ_i f_i da_i,           df = Σ_t p_t da_t

    The pullback returns dx, then dp where positions are fractional, then df where frequencies are
    given. Whole positions and the base have no gradient.
    """
    pairs = inputs.shape[1] // 2
    arrays = [inputs] if frequencies is None else [inputs, frequencies]
    fractional = not np.issubdtype(np.asarray(positions).dtype, np.integer)
    kind = np.result_type(*arrays, *([positions] if fractional else []))
    real = kind.type(0).real.dtype.type
    if frequencies is None:
        frequencies = np.array([real(base) ** -(real(2 * i) / (2 * pairs)) for i in range(pairs)])
        arrays = [inputs]

    def position(row, pair):
        place = positions[row] if np.ndim(positions) == 1 else positions[row][pair]
        return place if fractional else real(place)

    def rotated(vectors, sign):
        result = np.zeros(vectors.shape, np.result_type(kind, vectors))
        for row in range(len(vectors)):
            for pair in range(pairs):
                angle = sign * position(row, pair) * frequencies[pair]
                matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
                part = slice(2 * pair, 2 * pair + 2)
                result[row, part] = matrix @ vectors[row, part]
        return result

    outputs = rotated(inputs, 1)

    def pullback(d_outputs):
        dtype = np.result_type(kind, d_outputs)
        d_positions, d_frequencies = np.zeros(np.shape(positions), dtype), np.zeros(pairs, dtype)
        for row in range(len(inputs)):
            for pair in range(pairs):
                (d_first, d_second) = d_outputs[row, 2 * pair : 2 * pair + 2]
                (first, second) = outputs[row, 2 * pair : 2 * pair + 2]
                d_angle = d_second * first - d_first * second
                place = (row,) if d_positions.ndim == 1 else (row, pair)
                d_positions[place] += frequencies[pair] * d_angle
                d_frequencies[pair] += position(row, pair) * d_angle
        returned = [rotated(d_outputs, -1)]
        returned += [d_positions] if fractional else []
        return (*returned, d_frequencies) if len(arrays) == 2 else tuple(returned)

    return outputs, pullback
