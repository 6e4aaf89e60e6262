"""Attention gates in NumPy, one place at a time, with the gradient derived by hand."""

import numpy as np


def attention_gate(params, features, signal):
    """Returns ((features, places), pullback), as `jax.vjp` does.

    For one place, z = F x + G s + b, q = w · max(z, 0) + c, p = σ(q) and y = p x:

        dp = dplace + dy · x        dq = p (1 - p) dp        dc = Σ dq        dw = Σ dq max(z, 0)
        dz = dq w [z > 0]           dF = Σ dz xᵀ             dG = Σ dz sᵀ     db = Σ dz
        dx = p dy + Fᵀ dz           ds = Gᵀ dz
    """
    of_features, of_signal, shift, units, constant = params
    dtype = np.result_type(*params, features, signal)
    outputs, places = np.zeros(features.shape, dtype), np.zeros(features.shape[:2], dtype)
    layers = {}
    for place in np.ndindex(places.shape):
        inner = of_features @ features[place] + of_signal @ signal[place] + shift
        layers[place] = np.where(inner.real > 0, inner, 0)
        places[place] = 1 / (1 + np.exp(-(units @ layers[place] + constant)))
        outputs[place] = places[place] * features[place]

    def pullback(cotangent):
        kind = np.result_type(dtype, *cotangent)
        arrays = (*params, features, signal)
        d = [np.zeros(np.shape(x), kind) for x in arrays]
        for place, layer in layers.items():
            factor, d_output = places[place], cotangent[0][place]
            d_factor = cotangent[1][place] + d_output @ features[place]
            d_score = factor * (1 - factor) * d_factor
            d_inner = np.where(layer.real > 0, d_score * units, 0)
            d[0] += np.outer(d_inner, features[place])
            d[1] += np.outer(d_inner, signal[place])
            d[2] += d_inner
            d[3] += d_score * layer
            d[4] += d_score
            d[5][place] = factor * d_output + d_inner @ of_features
            d[6][place] = d_inner @ of_signal
        return type(params)(*d[:5]), d[5], d[6]

    return (outputs, places), pullback
