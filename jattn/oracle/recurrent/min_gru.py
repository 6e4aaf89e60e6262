"""The minimal GRU in NumPy, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.recurrent.stepwise import stepwise


def min_gru_cell(params, hidden, inputs, *, positive=False):
    """Returns (new, pullback), as `jax.vjp` does.

    With a = W_0 x + b_0, z = σ(a), e = W_1 x + b_1, c = e or g(e), and h' = h + z (c - h):

        dh = (1 - z) dh'    dc = z dh'    da = (c - h) z (1 - z) dh'    de = dc g'(e)
        dW = [da xᵀ; de xᵀ]    db = [da; de]    dx = W_0ᵀ da + W_1ᵀ de

    g' is 1 above 0 and g (1 - g) below.
    """
    weight, bias = params
    gate = 1 / (1 + np.exp(-(weight[0] @ inputs + bias[0])))
    candidate, slope = candidate_and_slope(weight[1] @ inputs + bias[1], positive)
    new = hidden + gate * (candidate - hidden)

    def pullback(d_new):
        d_gate = d_new * (candidate - hidden) * gate * (1 - gate)
        d_mapped = np.stack([d_gate, d_new * gate * slope])
        d_params = type(params)(d_mapped[:, :, None] * inputs, d_mapped)
        d_inputs = d_mapped[0] @ weight[0] + d_mapped[1] @ weight[1]
        return d_params, d_new * (1 - gate), d_inputs

    return new, pullback


def min_gru(params, inputs, *, initial=None, length=None, valid=None, positive=False):
    """Returns ((outputs, final), pullback), as `jax.vjp` does, one valid step at a time."""
    cell = with_output(min_gru_cell, positive)
    return stepwise(cell, params, inputs, initial, length, valid)


def with_output(cell, positive):
    """Returns the cell as one whose output is its state."""

    def step(params, state, inputs):
        new, pullback = cell(params, state, inputs, positive=positive)
        return (new, new), lambda cotangents: pullback(cotangents[0] + cotangents[1])

    return step


def candidate_and_slope(mapped, positive):
    """Returns the candidate, and its derivative by what is mapped."""
    if not positive:
        return mapped, np.ones(mapped.shape)
    below = 1 / (1 + np.exp(-mapped))
    above = mapped.real > 0
    return np.where(above, mapped + 0.5, below), np.where(above, 1, below * (1 - below))
