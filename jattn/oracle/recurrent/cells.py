"""GRU cells in NumPy, with their gradients derived by hand."""

import numpy as np


def gru_cell(params, hidden, inputs):
    """Returns (new, pullback), as `jax.vjp` does.

    With a_g = W_g x + b_g and u_g = U_g h + c_g for the gates g = r, z, m:

        r = σ(a_r + u_r)    z = σ(a_z + u_z)    m = tanh(a_m + r ∘ u_m)    h' = (1 - z) ∘ m + z ∘ h

    and so, for a cotangent dh' and with each gate's input marked by a hat:

        dm̂ = dh' ∘ (1 - z) ∘ (1 - m²)     dẑ = dh' ∘ (h - m) ∘ z ∘ (1 - z)
        dr̂ = dm̂ ∘ u_m ∘ r ∘ (1 - r)
        da = (dr̂, dẑ, dm̂)                 du = (dr̂, dẑ, dm̂ ∘ r)
        dW_g = da_g xᵀ    db_g = da_g      dU_g = du_g hᵀ    dc_g = du_g
        dx = Σ W_gᵀ da_g                   dh = dh' ∘ z + Σ U_gᵀ du_g
    """
    weight, hidden_weight, bias, hidden_bias = params
    of_inputs = [weight[gate] @ inputs + bias[gate] for gate in range(3)]
    of_hidden = [hidden_weight[gate] @ hidden + hidden_bias[gate] for gate in range(3)]
    reset = logistic(of_inputs[0] + of_hidden[0])
    update = logistic(of_inputs[1] + of_hidden[1])
    candidate = np.tanh(of_inputs[2] + reset * of_hidden[2])
    new = (1 - update) * candidate + update * hidden

    def pullback(d_new):
        d_candidate = d_new * (1 - update) * (1 - candidate**2)
        d_update = d_new * (hidden - candidate) * update * (1 - update)
        d_reset = d_candidate * of_hidden[2] * reset * (1 - reset)
        d_of_inputs = np.stack([d_reset, d_update, d_candidate])
        d_of_hidden = np.stack([d_reset, d_update, d_candidate * reset])
        d_params = type(params)(
            np.stack([np.outer(d_of_inputs[gate], inputs) for gate in range(3)]),
            np.stack([np.outer(d_of_hidden[gate], hidden) for gate in range(3)]),
            d_of_inputs,
            d_of_hidden,
        )
        d_hidden = d_new * update + sum(hidden_weight[g].T @ d_of_hidden[g] for g in range(3))
        return d_params, d_hidden, sum(weight[g].T @ d_of_inputs[g] for g in range(3))

    return new, pullback


def reset_before_gru_cell(params, hidden, inputs):
    """Returns (new, pullback), as `jax.vjp` does.

    With a and u as in `gru_cell`, except that the candidate reads v = r ∘ h:

        m = tanh(a_m + U_m v + c_m)

    so dm̂ and dẑ are the same as in `gru_cell`, and

        dv = U_mᵀ dm̂                      dr̂ = dv ∘ h ∘ r ∘ (1 - r)
        da = du = (dr̂, dẑ, dm̂)
        dU_r = dr̂ hᵀ    dU_z = dẑ hᵀ      dU_m = dm̂ vᵀ
        dh = dh' ∘ z + dv ∘ r + U_rᵀ dr̂ + U_zᵀ dẑ
    """
    weight, hidden_weight, bias, hidden_bias = params
    of_inputs = [weight[gate] @ inputs + bias[gate] for gate in range(3)]
    reset = logistic(of_inputs[0] + hidden_weight[0] @ hidden + hidden_bias[0])
    update = logistic(of_inputs[1] + hidden_weight[1] @ hidden + hidden_bias[1])
    remembered = reset * hidden
    candidate = np.tanh(of_inputs[2] + hidden_weight[2] @ remembered + hidden_bias[2])
    new = (1 - update) * candidate + update * hidden

    def pullback(d_new):
        d_candidate = d_new * (1 - update) * (1 - candidate**2)
        d_update = d_new * (hidden - candidate) * update * (1 - update)
        d_remembered = hidden_weight[2].T @ d_candidate
        d_reset = d_remembered * hidden * reset * (1 - reset)
        d_gates = np.stack([d_reset, d_update, d_candidate])
        d_params = type(params)(
            np.stack([np.outer(d_gates[gate], inputs) for gate in range(3)]),
            np.stack(
                [
                    np.outer(d_reset, hidden),
                    np.outer(d_update, hidden),
                    np.outer(d_candidate, remembered),
                ]
            ),
            d_gates,
            d_gates.copy(),
        )
        d_hidden = d_new * update + d_remembered * reset
        d_hidden = d_hidden + hidden_weight[0].T @ d_reset + hidden_weight[1].T @ d_update
        return d_params, d_hidden, sum(weight[g].T @ d_gates[g] for g in range(3))

    return new, pullback


def logistic(inputs):
    return 1 / (1 + np.exp(-inputs))
