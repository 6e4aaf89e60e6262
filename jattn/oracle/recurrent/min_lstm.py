"""The minimal LSTM in NumPy, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.recurrent.min_gru import candidate_and_slope, with_output
from jattn.oracle.recurrent.stepwise import stepwise


def min_lstm_cell(params, hidden, inputs, *, positive=False):
    """Returns (new, pullback), as `jax.vjp` does.

    With f = σ(a), i = σ(b), the sum s = f + i and h' = (f h + i c) / s:

        df = (h - h') dh' / s    di = (c - h') dh' / s    dc = i dh' / s    dh = f dh' / s
        da = f (1 - f) df        db = i (1 - i) di        de = dc g'(e)

    and each of these maps' arguments W x + b passes its cotangent on as in `min_gru_cell`.
    """
    weight, bias = params
    mapped = [weight[gate] @ inputs + bias[gate] for gate in range(3)]
    forget, enter = (1 / (1 + np.exp(-mapped[gate])) for gate in range(2))
    candidate, slope = candidate_and_slope(mapped[2], positive)
    total = forget + enter
    new = (forget * hidden + enter * candidate) / total

    def pullback(d_new):
        d_share = d_new / total
        d_forget = d_share * (hidden - new) * forget * (1 - forget)
        d_enter = d_share * (candidate - new) * enter * (1 - enter)
        d_mapped = np.stack([d_forget, d_enter, d_share * enter * slope])
        d_params = type(params)(d_mapped[:, :, None] * inputs, d_mapped)
        d_inputs = sum(d_mapped[gate] @ weight[gate] for gate in range(3))
        return d_params, d_share * forget, d_inputs

    return new, pullback


def min_lstm(params, inputs, *, initial=None, length=None, valid=None, positive=False):
    """Returns ((outputs, final), pullback), as `jax.vjp` does, one valid step at a time."""
    cell = with_output(min_lstm_cell, positive)
    return stepwise(cell, params, inputs, initial, length, valid)
