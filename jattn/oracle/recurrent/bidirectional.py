"""A GRU in both directions in NumPy: two runs over the valid steps, concatenated."""

import numpy as np

from jattn.oracle.recurrent.cells import gru_cell
from jattn.oracle.recurrent.unroll import gru


def bidirectional_gru(
    params, inputs, *, initial=None, length=None, valid=None, cell=gru_cell, hidden_scale=None
):
    """Returns ((outputs, final), pullback), as `jax.vjp` does.

    The directions share only the inputs, so each pulls its half of the cotangent back, and dinputs
    is the sum of both.
    """
    units = params.forward.hidden_bias.shape[1]
    runs = [
        gru(
            weights,
            inputs,
            initial=None if initial is None else initial[direction],
            length=length,
            valid=valid,
            reverse=direction == 1,
            cell=cell,
            hidden_scale=None if hidden_scale is None else hidden_scale[direction],
        )
        for direction, weights in enumerate(params)
    ]
    outputs = np.concatenate([outputs for (outputs, _), _ in runs], axis=1)
    final = np.stack([final for (_, final), _ in runs])

    def pullback(cotangent):
        d_outputs, d_final = cotangent
        halves = d_outputs[:, :units], d_outputs[:, units:]
        forward, backward = (
            back((half, last)) for (_, back), half, last in zip(runs, halves, d_final, strict=True)
        )
        keywords = zip(forward[2:], backward[2:], strict=True)
        return (
            type(params)(forward[0], backward[0]),
            forward[1] + backward[1],
            *(np.stack(both) for both in keywords),
        )

    return (outputs, final), pullback
