"""A GRU in both directions in NumPy: two runs over the valid part, side by side."""

import numpy as np

from jattn.oracle.recurrent.cells import gru_cell
from jattn.oracle.recurrent.unroll import gru


def bidirectional_gru(
    params, inputs, *, initial=None, length=None, cell=gru_cell, hidden_scale=None
):
    """Returns ((outputs, final), pullback), as `jax.vjp` does.

    The directions share nothing but the inputs, so each takes its half of the cotangent back and
    dinputs is the sum of both.
    """
    units = params.forward.hidden_bias.shape[1]
    runs = [
        gru(
            own,
            inputs,
            initial=None if initial is None else initial[direction],
            length=length,
            reverse=direction == 1,
            cell=cell,
            hidden_scale=None if hidden_scale is None else hidden_scale[direction],
        )
        for direction, own in enumerate(params)
    ]
    outputs = np.concatenate([outputs for (outputs, _), _ in runs], axis=1)
    final = np.stack([final for (_, final), _ in runs])

    def pullback(cotangent):
        d_outputs, d_final = cotangent
        halves = d_outputs[:, :units], d_outputs[:, units:]
        forward, backward = (
            own((half, last)) for (_, own), half, last in zip(runs, halves, d_final, strict=True)
        )
        keywords = zip(forward[2:], backward[2:], strict=True)
        return (
            type(params)(forward[0], backward[0]),
            forward[1] + backward[1],
            *(np.stack(both) for both in keywords),
        )

    return (outputs, final), pullback
