"""GRUs whose update is decided by attention, in NumPy, with their gradients derived by hand."""

import numpy as np


def attention_gru_cell(params, hidden, inputs, attention):
    """Returns (new, pullback), as `jax.vjp` does.

    With m of `gru_cell` and h' = h + g (m - h): dg = dh' · (m - h), dm = g dh', and dh has
    (1 - g) dh'. The update gate has no part in it.
    """
    _, candidate, back = gates_and_candidate(params, hidden, inputs)

    def pullback(d_new):
        d_params, d_hidden, d_inputs = back(np.zeros_like(d_new), attention * d_new)
        d_attention = d_new @ (candidate - hidden)
        return d_params, d_hidden + (1 - attention) * d_new, d_inputs, d_attention

    return hidden + attention * (candidate - hidden), pullback


def attention_update_gru_cell(params, hidden, inputs, attention):
    """Returns (new, pullback), as `jax.vjp` does.

    With z and m of `gru_cell`, s = g (1 - z) and h' = h + s (m - h):

        ds = (m - h) dh'    dg = Σ (1 - z) ds    dz = -g ds    dm = s dh'    dh has (1 - s) dh'
    """
    update, candidate, back = gates_and_candidate(params, hidden, inputs)
    share = attention * (1 - update)

    def pullback(d_new):
        d_share = (candidate - hidden) * d_new
        d_params, d_hidden, d_inputs = back(-attention * d_share, share * d_new)
        d_attention = (1 - update) @ d_share
        return d_params, d_hidden + (1 - share) * d_new, d_inputs, d_attention

    return hidden + share * (candidate - hidden), pullback


def gates_and_candidate(params, hidden, inputs):
    """Returns z, m, and the pullback of their cotangents; see `gru_cell`'s oracle."""
    weight, hidden_weight, bias, hidden_bias = params
    a = [weight[gate] @ inputs + bias[gate] for gate in range(3)]
    u = [hidden_weight[gate] @ hidden + hidden_bias[gate] for gate in range(3)]
    reset, update = (1 / (1 + np.exp(-a[gate] - u[gate])) for gate in range(2))
    candidate = np.tanh(a[2] + reset * u[2])

    def pullback(d_update, d_candidate):
        d_inner = d_candidate * (1 - candidate**2)
        d_reset = d_inner * u[2] * reset * (1 - reset)
        d_gate = d_update * update * (1 - update)
        d_a, d_u = (
            np.stack([d_reset, d_gate, d_inner]),
            np.stack([d_reset, d_gate, d_inner * reset]),
        )
        d_params = type(params)(d_a[:, :, None] * inputs, d_u[:, :, None] * hidden, d_a, d_u)
        d_hidden = sum(d_u[gate] @ hidden_weight[gate] for gate in range(3))
        return d_params, d_hidden, sum(d_a[gate] @ weight[gate] for gate in range(3))

    return update, candidate, pullback
