"""Gaussian window in NumPy, one query and one Gaussian at a time, with its gradient by hand."""

import numpy as np

from jattn.oracle.alignment.in_order import in_order


def gaussian_window(params, query, value, *, mask=None, initial=None):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    For one query and one Gaussian, α, β and δ are exponentials of a = W q + b. So da = α dα for the
    first, and so on, of the cotangents of `bumps`, where dδ = dκ.
    """
    kept = np.ones((len(query), len(value)), bool) if mask is None else np.array(mask)
    start = np.zeros(params.bias.shape[1]) if initial is None else initial

    def weigh(before, row, keys):
        rates = np.exp(params.weight @ query[row] + params.bias)
        weights, of_bumps = bumps(rates[0], rates[1], before + rates[2], keys)

        def back(d_weights, d_after, gradients):
            d_height, d_sharpness, d_centre = of_bumps(d_weights)
            d_centre = d_centre + d_after
            d_rates = rates * np.stack([d_height, d_sharpness, d_centre])
            gradients["bias"] += d_rates
            gradients["weight"] += np.multiply.outer(d_rates, query[row])
            gradients["query"][row] = np.tensordot(d_rates, params.weight, 2)
            return d_centre

        return weights, before + rates[2], back

    arrays = params._asdict() | {"query": query}
    output, of_queries = in_order(weigh, start, value, kept, arrays)
    return output, without_keys(of_queries, params, initial)


def bumps(height, sharpness, centre, keys):
    """Returns (weights, back) of Gaussians, one after another.

    With φ_s = α exp(-β (κ - s)²), of a cotangent g of their sum:

        dα = Σ g_s φ_s / α      dβ = -Σ g_s φ_s (κ - s)²      dκ = -2 β Σ g_s φ_s (κ - s)
    """
    far = [place - keys for place in centre]
    parts = [np.exp(-b * d * d) for b, d in zip(sharpness, far, strict=True)]
    total = np.zeros(len(keys), np.result_type(height, sharpness, centre))
    for a, part in zip(height, parts, strict=True):
        total += a * part

    def back(d_weights):
        d_height, d_sharpness, d_centre = np.zeros((3, len(far)), d_weights.dtype)
        for m, (part, d) in enumerate(zip(parts, far, strict=True)):
            d_height[m] = part @ d_weights
            d_sharpness[m] = -height[m] * ((part * d * d) @ d_weights)
            d_centre[m] = -2 * height[m] * sharpness[m] * ((part * d) @ d_weights)
        return d_height, d_sharpness, d_centre

    return total, back


def without_keys(of_queries, params, initial):
    """Returns the pullback to parameters, query, value and the initial state that was given."""

    def pullback(cotangent):
        d_value, d_start, gradients = of_queries(cotangent)
        d_params = type(params)(*(gradients.get(name) for name in params._fields))
        found = (d_params, gradients["query"], d_value)
        return found if initial is None else (*found, d_start)

    return pullback
