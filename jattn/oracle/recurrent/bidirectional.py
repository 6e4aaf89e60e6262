"""A GRU in both directions in NumPy: two runs over the valid steps, concatenated."""

import numpy as np

from jattn.oracle.recurrent.cells import gru_cell
from jattn.oracle.recurrent.unroll import each, joined, parts, unroll


def bidirectional_gru(
    params, inputs, *, initial=None, length=None, valid=None, cell=gru_cell, hidden_scale=None
):
    """Returns ((outputs, final), pullback), as `jax.vjp` does."""
    options = {"initial": initial, "length": length, "valid": valid}
    return bidirectional(cell, params, inputs, hidden_scale=hidden_scale, **options)


def bidirectional(
    cell, params, inputs, *, initial=None, length=None, valid=None, hidden_scale=None
):
    """Returns ((outputs, final), pullback), as `jax.vjp` does.

    The directions share only the inputs, so each pulls its half of the cotangent back, and dinputs
    is the sum of both.
    """
    row = lambda state, index: None if state is None else each(lambda part: part[index], state)
    runs = [
        unroll(
            cell,
            weights,
            inputs,
            initial=row(initial, direction),
            length=length,
            valid=valid,
            reverse=direction == 1,
            hidden_scale=row(hidden_scale, direction),
        )
        for direction, weights in enumerate(params)
    ]
    units = runs[0][0][0].shape[-1]
    outputs = np.concatenate([outputs for (outputs, _), _ in runs], axis=1)
    final = both(*(final for (_, final), _ in runs))

    def pullback(cotangent):
        d_outputs, d_final = cotangent
        halves = d_outputs[:, :units], d_outputs[:, units:]
        forward, backward = (
            back((half, row(d_final, direction)))
            for direction, ((_, back), half) in enumerate(zip(runs, halves, strict=True))
        )
        keywords = zip(forward[2:], backward[2:], strict=True)
        return (
            type(params)(forward[0], backward[0]),
            forward[1] + backward[1],
            *(both(*states) for states in keywords),
        )

    return (outputs, final), pullback


def both(forward, backward):
    """Returns a state whose arrays have two rows, forward then backward."""
    pairs = zip(parts(forward), parts(backward), strict=True)
    return joined(forward, [np.stack(pair) for pair in pairs])
