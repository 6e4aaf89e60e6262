"""Adaptive attention with a sentinel in NumPy, one query at a time, with its gradient by hand."""

import numpy as np

from jattn.oracle.normalizers import softmax


def sentinel_attention(params, query, key, value, sentinel, *, valid=None, normalizer=softmax):
    """Returns ((context, weights, sentinel_weights), pullback), as `jax.vjp` does.

    For one query q, each of its items x, a key or the sentinel, has a map M, the hidden layer
    h = tanh(M x + Q q), the score e = w · h, and a value y of weight a:

        da = dweight + y · dc        dy = a dc        dw = Σ de h        dz = de w ∘ (1 - h²)
        dM = Σ dz xᵀ                 dx = Mᵀ dz       dQ = (Σ dz) qᵀ     dq = Qᵀ Σ dz
    """
    of_query, of_key, of_sentinel, units = params
    used = list(range(len(key)) if valid is None else np.flatnonzero(valid))
    dtype = np.result_type(*params, query, key, value, sentinel)
    scores = np.zeros((len(query), len(key) + 1), dtype)
    kept, layers = np.zeros(scores.shape, bool), {}
    for t in range(len(query)):
        for place in (*used, len(key)):
            item = of_key @ key[place] if place < len(key) else of_sentinel @ sentinel[t]
            layers[t, place] = np.tanh(item + of_query @ query[t])
            scores[t, place], kept[t, place] = units @ layers[t, place], True
    weights, of_weights = normalizer(scores, kept)
    context = np.zeros((len(query), value.shape[1]), dtype)
    for t, place in layers:
        context[t] += weights[t, place] * (value[place] if place < len(key) else sentinel[t])

    def pullback(cotangent):
        d_context, d_of_keys, d_last = cotangent
        kind = np.result_type(dtype, d_context, d_of_keys, d_last)
        d = [np.zeros(x.shape, kind) for x in (*params, query, key, value, sentinel)]
        d_of_query, d_of_key, d_of_sentinel, d_units, d_query, d_key, d_value, d_sentinel = d
        d_all = np.zeros(scores.shape, kind)
        for t, place in layers:
            if place < len(key):
                d_all[t, place] = d_of_keys[t, place] + value[place] @ d_context[t]
                d_value[place] += weights[t, place] * d_context[t]
            else:
                d_all[t, place] = d_last[t] + sentinel[t] @ d_context[t]
                d_sentinel[t] += weights[t, place] * d_context[t]
        (d_scores,) = of_weights(d_all)
        for (t, place), hidden in layers.items():
            d_units += d_scores[t, place] * hidden
            inner = d_scores[t, place] * units * (1 - hidden**2)
            d_of_query += np.outer(inner, query[t])
            d_query[t] += inner @ of_query
            if place < len(key):
                d_of_key += np.outer(inner, key[place])
                d_key[place] += inner @ of_key
            else:
                d_of_sentinel += np.outer(inner, sentinel[t])
                d_sentinel[t] += inner @ of_sentinel
        d_params = type(params)(d_of_query, d_of_key, d_of_sentinel, d_units)
        return d_params, d_query, d_key, d_value, d_sentinel

    return (context, weights[:, :-1], weights[:, -1]), pullback
