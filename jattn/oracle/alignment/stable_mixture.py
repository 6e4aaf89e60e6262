"""A mixture of Gaussians, second version, in NumPy, one query at a time."""

import numpy as np

from jattn.oracle.alignment.gaussian_window import bumps, without_keys
from jattn.oracle.alignment.in_order import in_order
from jattn.oracle.normalizers import softmax


def stable_mixture(params, query, value, *, mask=None, initial=None):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    For one query with x = tanh(W q + b), (a, d, e) = V x + c, ω = softmax(a), σ = log(1 + exp d)
    and δ = log(1 + exp e), the heights are α = ω / (σ √2π) and the sharpnesses β = 1 / (2 σ²). So

        dω = dα / (σ √2π)      dσ = -α dα / σ - dβ / σ³      dd = dσ σ'(d)      de = dκ σ'(e)

    with the logistic function σ' and the cotangents of `bumps`; dx = Vᵀ (da, dd, de).
    """
    kept = np.ones((len(query), len(value)), bool) if mask is None else np.array(mask)
    start = np.zeros(params.bias.shape[1]) if initial is None else initial
    hidden_weight, hidden_bias, weight, bias = params
    root = np.sqrt(2 * np.arccos(np.longdouble(-1)))

    def weigh(before, row, keys):
        hidden = np.tanh(hidden_weight @ query[row] + hidden_bias)
        raw = weight @ hidden + bias
        (share,), of_share = softmax(raw[:1], None)
        positive = np.log(1 + np.exp(raw[1:]))
        slope = 1 / (1 + np.exp(-raw[1:]))
        deviation, centre = positive[0], before + positive[1]
        scale = root.astype(share.real.dtype) * deviation
        weights, of_bumps = bumps(share / scale, 1 / (2 * deviation**2), centre, keys)

        def back(d_weights, d_after, gradients):
            d_height, d_sharpness, d_centre = of_bumps(d_weights)
            d_centre = d_centre + d_after
            d_deviation = -d_height * share / scale / deviation - d_sharpness / deviation**3
            (d_share,) = of_share((d_height / scale)[None])[0]
            d_raw = np.stack([d_share, d_deviation * slope[0], d_centre * slope[1]])
            d_hidden = np.tensordot(d_raw, weight, 2) * (1 - hidden**2)
            gradients["bias"] += d_raw
            gradients["weight"] += np.multiply.outer(d_raw, hidden)
            gradients["hidden_bias"] += d_hidden
            gradients["hidden_weight"] += np.outer(d_hidden, query[row])
            gradients["query"][row] = d_hidden @ hidden_weight
            return d_centre

        return weights, centre, back

    arrays = params._asdict() | {"query": query}
    output, of_queries = in_order(weigh, start, value, kept, arrays)
    return output, without_keys(of_queries, params, initial)
