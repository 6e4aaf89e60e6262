"""Gaussian window in NumPy, one query and one Gaussian at a time, with its gradient by hand."""

import numpy as np

from jattn.oracle.alignment.in_order import in_order


def gaussian_window(params, query, value, *, mask=None, initial=None):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    For one query and one Gaussian with height α, sharpness β and centre κ = κ' + δ, all of them
    exponentials of a = W q + b, and φ_s = α exp(-β (κ - s)²):

        dlog α = Σ φ_s da_s      dlog β = -β Σ φ_s (κ - s)² da_s      dκ = -2 β Σ φ_s (κ - s) da_s

    plus dκ of the next query, and dlog δ = δ dκ, dκ' = dκ. Each W and b sees its logarithm.
    """
    kept = np.ones((len(query), len(value)), bool) if mask is None else np.array(mask)
    start = np.zeros(params.bias.shape[1]) if initial is None else initial

    def weigh(before, row, keys):
        rates = np.exp(params.weight @ query[row] + params.bias)
        centre = before + rates[2]
        far = [centre[m] - keys for m in range(len(centre))]
        bumps = [a * np.exp(-b * d * d) for a, b, d in zip(rates[0], rates[1], far, strict=True)]

        def back(d_weights, d_after, gradients):
            d_centre, d_rates = d_after.copy(), np.zeros(rates.shape, d_weights.dtype)
            for m, (bump, d) in enumerate(zip(bumps, far, strict=True)):
                d_rates[0, m] = bump @ d_weights
                d_rates[1, m] = -rates[1, m] * ((bump * d * d) @ d_weights)
                d_centre[m] += -2 * rates[1, m] * ((bump * d) @ d_weights)
            d_rates[2] = rates[2] * d_centre
            gradients["bias"] += d_rates
            gradients["weight"] += np.multiply.outer(d_rates, query[row])
            gradients["query"][row] = np.tensordot(d_rates, params.weight, 2)
            return d_centre

        return sum(bumps, np.zeros(len(keys))), centre, back

    output, of_queries = in_order(weigh, start, value, kept, params._asdict() | {"query": query})

    def pullback(cotangent):
        d_value, d_start, gradients = of_queries(cotangent)
        d_params = type(params)(gradients["weight"], gradients["bias"])
        found = (d_params, gradients["query"], d_value)
        return found if initial is None else (*found, d_start)

    return output, pullback
