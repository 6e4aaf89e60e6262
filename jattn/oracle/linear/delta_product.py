"""DeltaProduct in NumPy: `delta_net` over all replacements, of which queries read every n-th."""

import numpy as np

from jattn.oracle.linear.deltas import delta_net


def delta_product(query, key, value, strength, *, initial=None, length=None, chunk_size=None):
    """Returns ((outputs, state), pullback): what is not read has no cotangent."""
    steps, each = strength.shape
    every = np.zeros((steps, each, query.shape[1]), query.dtype)
    every[:, -1] = query
    rows = [x.reshape(steps * each, *x.shape[2:]) for x in (every, key, value, strength)]
    count = None if length is None else int(length) * each
    (outputs, state), back = delta_net(*rows, initial=initial, length=count)

    def pullback(cotangents):
        d_outputs, d_state = cotangents
        d_rows = np.zeros((steps, each, value.shape[2]), d_outputs.dtype)
        d_rows[:, -1] = d_outputs
        found = back((d_rows.reshape(outputs.shape), d_state))
        shapes = (every.shape, key.shape, value.shape, strength.shape)
        d_every, *others = (x.reshape(shape) for x, shape in zip(found, shapes, strict=False))
        return d_every[:, -1], *others, *found[4:]

    return (outputs.reshape(steps, each, value.shape[2])[:, -1], state), pullback
