"""LSTM in NumPy, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.recurrent.cells import logistic
from jattn.oracle.recurrent.unroll import unroll


def lstm_cell(params, state, inputs):
    """Returns (new state, pullback), as `jax.vjp` does.

    With a_g = W_g x + b_g + U_g h + e_g for the gates g = i, f, m, o:

        i = σ(a_i)    f = σ(a_f)    m = tanh(a_m)    o = σ(a_o)
        c' = f ∘ c + i ∘ m          h' = o ∘ tanh(c')

    The memory cell reaches the loss by itself and through h', so with cotangents dh' and dc'

        γ = dc' + dh' ∘ o ∘ (1 - tanh² c')
        da_i = γ ∘ m ∘ i ∘ (1 - i)    da_f = γ ∘ c ∘ f ∘ (1 - f)
        da_m = γ ∘ i ∘ (1 - m²)       da_o = dh' ∘ tanh(c') ∘ o ∘ (1 - o)
        dc = γ ∘ f       dh = Σ U_gᵀ da_g      dx = Σ W_gᵀ da_g
        dW_g = da_g xᵀ   dU_g = da_g hᵀ        db_g = de_g = da_g
    """
    weight, hidden_weight, bias, hidden_bias = params
    hidden, cell = state
    sums = [
        weight[g] @ inputs + bias[g] + hidden_weight[g] @ hidden + hidden_bias[g] for g in range(4)
    ]
    write, forget, output = logistic(sums[0]), logistic(sums[1]), logistic(sums[3])
    candidate = np.tanh(sums[2])
    new = forget * cell + write * candidate
    squashed = np.tanh(new)

    def pullback(cotangent):
        d_hidden, d_new = cotangent
        d_new = d_new + d_hidden * output * (1 - squashed**2)
        d_sums = np.stack(
            [
                d_new * candidate * write * (1 - write),
                d_new * cell * forget * (1 - forget),
                d_new * write * (1 - candidate**2),
                d_hidden * squashed * output * (1 - output),
            ]
        )
        d_params = type(params)(
            np.stack([np.outer(row, inputs) for row in d_sums]),
            np.stack([np.outer(row, hidden) for row in d_sums]),
            d_sums,
            d_sums.copy(),
        )
        d_state = type(state)(sum(hidden_weight[g].T @ d_sums[g] for g in range(4)), d_new * forget)
        return d_params, d_state, sum(weight[g].T @ d_sums[g] for g in range(4))

    return type(state)(output * squashed, new), pullback


def lstm(
    params,
    inputs,
    *,
    initial=None,
    length=None,
    valid=None,
    reverse=False,
    cell=lstm_cell,
    hidden_scale=None,
):
    """Returns ((outputs, final), pullback), as `jax.vjp` does."""
    options = {"initial": initial, "length": length, "valid": valid, "reverse": reverse}
    return unroll(cell, params, inputs, hidden_scale=hidden_scale, **options)
