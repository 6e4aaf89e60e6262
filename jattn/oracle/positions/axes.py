"""Rotary positions along several axes in NumPy, one pair of features at a time."""

import numpy as np

from jattn.oracle.positions import rotation


def multi_axis_rotary(
    inputs, positions, *, axis_of_pair, base=10000.0, frequencies=None, rotate=rotation.rotary
):
    """Returns (outputs, pullback) of a rotation of each token and pair by itself.

    Pair i of a token is rotated as if it were alone, with a frequency of its own. Each output
    depends on one pair, so the gradient of that pair is the rotation's.
    """
    pairs = len(axis_of_pair)
    own = frequencies
    if own is None:
        real = inputs.real.dtype.type
        own = np.array([real(base) ** -(real(i) / pairs) for i in range(pairs)])
    kind = np.result_type(inputs, own)
    outputs, pullbacks = np.zeros(inputs.shape, kind), {}
    for token in range(len(inputs)):
        for pair, axis in enumerate(axis_of_pair):
            place = slice(token, token + 1), slice(2 * pair, 2 * pair + 2)
            where = np.asarray(positions)[token : token + 1, axis]
            outputs[place], pullback = rotate(
                inputs[place], where, frequencies=own[pair : pair + 1]
            )
            pullbacks[token, pair] = place, pullback

    def pullback(d_outputs):
        d_inputs = np.zeros(inputs.shape, np.result_type(kind, d_outputs))
        d_own = np.zeros(pairs, d_inputs.dtype)
        for (_, pair), (place, pullback) in pullbacks.items():
            d_inputs[place], *_, d_frequency = pullback(d_outputs[place])
            d_own[pair] += d_frequency[0]
        return (d_inputs,) if frequencies is None else (d_inputs, d_own)

    return outputs, pullback
