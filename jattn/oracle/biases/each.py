"""Every head at every distance, one pair at a time."""

import numpy as np


def every_pair(arrays, heads, distances, value, slopes):
    """Returns (bias [h *n], pullback) of a bias of one head at one distance.

    Args:
        arrays: the parameters.
        heads: their number.
        distances: integers of any shape.
        value: returns the bias of a head at a distance.
        slopes: returns, for each parameter, the place that the bias depends on and its derivative.
    """
    shape, kind = np.shape(distances), np.result_type(*arrays)
    bias = np.zeros((heads, *shape), kind)
    for head in range(heads):
        for place in np.ndindex(shape):
            bias[(head, *place)] = value(head, int(distances[place]))

    def pullback(d_bias):
        gradients = [np.zeros(np.shape(x), np.result_type(kind, d_bias)) for x in arrays]
        for head in range(heads):
            for place in np.ndindex(shape):
                found = slopes(head, int(distances[place]))
                for gradient, (where, slope) in zip(gradients, found, strict=True):
                    gradient[where] += slope * d_bias[(head, *place)]
        return tuple(gradients)

    return bias, pullback
