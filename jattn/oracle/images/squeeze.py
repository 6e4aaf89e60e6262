"""Squeeze and excitation in NumPy, one channel at a time, with its gradient derived by hand."""

import numpy as np


def squeeze_excitation(params, features):
    """Returns ((features, factors), pullback), as `jax.vjp` does.

    With the mean z of n places, the factors f = σ(l) and y = f ∘ x:

        df = dfactors + Σ dy ∘ x        dl = f (1 - f) df        dx = f ∘ dy + dz / n
    """
    rows, columns, channels = features.shape
    places = list(np.ndindex(rows, columns))
    mean = np.zeros(channels, features.dtype)
    for place in places:
        mean += features[place] / len(places)
    logits, of_logits = network(params, mean)
    factors = 1 / (1 + np.exp(-logits))

    def pullback(cotangent):
        d_features, d_factors = cotangent
        kind = np.result_type(factors, features, d_features, d_factors)
        d_inputs, d_own = np.zeros(features.shape, kind), np.array(d_factors, kind)
        for place in places:
            d_own += d_features[place] * features[place]
        d_params, d_mean = of_logits(factors * (1 - factors) * d_own)
        for place in places:
            d_inputs[place] = factors * d_features[place] + d_mean / len(places)
        return d_params, d_inputs

    return (features * factors, factors), pullback


def network(params, squeezed):
    """Returns (logits, pullback) of l = E max(r, 0) + e with r = R z + b.

    dE = dl max(r, 0)ᵀ    de = dl    dr = (Eᵀ dl) [r > 0]    dR = dr zᵀ    dz = Rᵀ dr
    """
    reduce_weight, expand_weight, reduce_bias, expand_bias = params
    inner = reduce_weight @ squeezed
    inner = inner if reduce_bias is None else inner + reduce_bias
    is_on = inner.real > 0
    logits = expand_weight @ np.where(is_on, inner, 0)
    logits = logits if expand_bias is None else logits + expand_bias

    def pullback(d_logits):
        d_inner = np.where(is_on, expand_weight.T @ d_logits, 0)
        d_params = type(params)(
            np.outer(d_inner, squeezed),
            np.outer(d_logits, np.where(is_on, inner, 0)),
            None if reduce_bias is None else d_inner,
            None if expand_bias is None else d_logits,
        )
        return d_params, reduce_weight.T @ d_inner

    return logits, pullback
