"""Attention to neighbours in a graph in NumPy, one pair at a time, with gradients by hand."""

import numpy as np

from jattn.oracle.attention.attend import attend, kept_pairs, with_bias
from jattn.oracle.normalizers import softmax


def graph_attention(
    params, query, key, value, *, mask=None, bias=None, normalizer=softmax, slope=0.2
):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    For one pair, z = a · W q + b · W k and e = ρ z, where ρ is 1 for z > 0 and else the slope:

        dz = ρ de        da = dz W q        db = dz W k        dW = dz (a qᵀ + b kᵀ)
        dq = dz Wᵀ a     dk = dz Wᵀ b
    """
    weight, (of_query, of_key) = params
    kept = kept_pairs(mask, bias, len(query), len(key))
    pairs = list(zip(*np.nonzero(kept), strict=True))
    scores, rates = np.zeros(kept.shape, np.result_type(*params, query, key)), {}
    for t, s in pairs:
        sum_of_both = of_query @ (weight @ query[t]) + of_key @ (weight @ key[s])
        rates[t, s] = 1 if sum_of_both.real > 0 else slope
        scores[t, s] = rates[t, s] * sum_of_both
    output, of_scores = attend(scores, value, kept, bias, normalizer)

    def pullback(cotangent):
        d_scores, d_value = of_scores(cotangent)
        d_weight, d_both, d_query, d_key = (
            np.zeros(x.shape, d_scores.dtype) for x in (*params, query, key)
        )
        for t, s in pairs:
            d_sum = rates[t, s] * d_scores[t, s]
            d_both[0] += d_sum * (weight @ query[t])
            d_both[1] += d_sum * (weight @ key[s])
            d_weight += d_sum * (np.outer(of_query, query[t]) + np.outer(of_key, key[s]))
            d_query[t] += d_sum * (of_query @ weight)
            d_key[s] += d_sum * (of_key @ weight)
        d_params = type(params)(d_weight, d_both)
        return with_bias((d_params, d_query, d_key, d_value), bias, d_scores)

    return output, pullback


def dynamic_graph_attention(
    params, query, key, value, *, mask=None, bias=None, normalizer=softmax, slope=0.2
):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    For one pair, z = Wq q + Wk k, h = ρ ∘ z with ρ as above for each unit, and e = w · h:

        dw = de h        dz = de w ∘ ρ        dWq = dz qᵀ        dq = Wqᵀ dz        dk = Wkᵀ dz
    """
    query_weight, key_weight, score_weight = params
    kept = kept_pairs(mask, bias, len(query), len(key))
    pairs = list(zip(*np.nonzero(kept), strict=True))
    scores, units = np.zeros(kept.shape, np.result_type(*params, query, key)), {}
    for t, s in pairs:
        inputs = query_weight @ query[t] + key_weight @ key[s]
        rates = np.where(inputs.real > 0, 1, slope)
        units[t, s] = rates, rates * inputs
        scores[t, s] = score_weight @ units[t, s][1]
    output, of_scores = attend(scores, value, kept, bias, normalizer)

    def pullback(cotangent):
        d_scores, d_value = of_scores(cotangent)
        d_of_query, d_of_key, d_score_weight, d_query, d_key = (
            np.zeros(x.shape, d_scores.dtype) for x in (*params, query, key)
        )
        for t, s in pairs:
            rates, hidden = units[t, s]
            d_score_weight += d_scores[t, s] * hidden
            d_inputs = d_scores[t, s] * rates * score_weight
            d_of_query += np.outer(d_inputs, query[t])
            d_of_key += np.outer(d_inputs, key[s])
            d_query[t] += d_inputs @ query_weight
            d_key[s] += d_inputs @ key_weight
        d_params = type(params)(d_of_query, d_of_key, d_score_weight)
        return with_bias((d_params, d_query, d_key, d_value), bias, d_scores)

    return output, pullback
