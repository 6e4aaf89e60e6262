"""A GRU with layer normalization in NumPy, with its gradient derived by hand."""

from collections import namedtuple

import numpy as np

from jattn.oracle.layers.norms import layer_norm

Norm = namedtuple("Norm", ["scale", "bias"])
GATES, CANDIDATE = slice(0, 2), slice(2, 3)


def layer_norm_gru_cell(params, hidden, inputs, *, epsilon=1e-5):
    """Returns (new, pullback), as `jax.vjp` does.

    With the norms p of W x and q of U h, and the equations of `gru_cell`'s oracle where they are
    a_g and u_g: dp = da and dq = du pass through the pullbacks of the norms, to the products.
    """
    sides = (
        (params.input_weight, inputs, params.input_scale, params.input_shift),
        (params.hidden_weight, hidden, params.hidden_scale, params.hidden_shift),
    )
    normal, backs = [], []
    for weight, vector, scale, shift in sides:
        parts, pullbacks = [], []
        for rows in (GATES, CANDIDATE):
            product = np.concatenate([matrix @ vector for matrix in weight[rows]])
            norm = Norm(scale[rows].ravel(), shift[rows].ravel())
            part, back = layer_norm(norm, product, epsilon=epsilon)
            parts.append(part)
            pullbacks.append(back)
        normal.append(np.concatenate(parts).reshape(scale.shape))
        backs.append(pullbacks)
    of_inputs, of_hidden = normal
    reset, update = (1 / (1 + np.exp(-(of_inputs[gate] + of_hidden[gate]))) for gate in range(2))
    candidate = np.tanh(of_inputs[2] + reset * of_hidden[2])

    def pullback(d_new):
        d_candidate = d_new * (1 - update) * (1 - candidate**2)
        d_update = d_new * (hidden - candidate) * update * (1 - update)
        d_reset = d_candidate * of_hidden[2] * reset * (1 - reset)
        cotangents = (
            np.stack([d_reset, d_update, d_candidate]),
            np.stack([d_reset, d_update, d_candidate * reset]),
        )
        found = {"weight": [], "scale": [], "shift": [], "vector": []}
        for (weight, vector, *_), pullbacks, cotangent in zip(
            sides, backs, cotangents, strict=True
        ):
            of_parts = [
                back(cotangent[rows].ravel())
                for back, rows in zip(pullbacks, (GATES, CANDIDATE), strict=True)
            ]
            d_products = np.concatenate([part for _, part in of_parts]).reshape(cotangent.shape)
            found["weight"].append(d_products[:, :, None] * vector)
            for name, field in (("scale", "scale"), ("shift", "bias")):
                flat = np.concatenate([getattr(norm, field) for norm, _ in of_parts])
                found[name].append(flat.reshape(cotangent.shape))
            found["vector"].append(sum(d_products[gate] @ weight[gate] for gate in range(3)))
        d_params = type(params)(*found["weight"], *found["scale"], *found["shift"])
        d_inputs, d_hidden = found["vector"]
        return d_params, d_hidden + d_new * update, d_inputs

    return (1 - update) * candidate + update * hidden, pullback
