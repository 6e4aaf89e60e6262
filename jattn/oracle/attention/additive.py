"""Additive attention in NumPy, one query at a time, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.attention.attend import attend, kept_pairs, with_bias
from jattn.oracle.normalizers import softmax


def additive_attention(params, query, key, value, *, mask=None, bias=None, normalizer=softmax):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    For one query q, with z_s = Wq q + Wk k_s + β, h_s = tanh(z_s) and e_s = w · h_s:

        dw   = Σ de_s h_s          dz_s = de_s w ∘ (1 - h_s²)
        dWq  = (Σ dz_s) qᵀ         dWk  = Σ dz_s k_sᵀ          dβ = Σ dz_s
        dq   = Wqᵀ Σ dz_s          dk_s = Wkᵀ dz_s
    """
    query_weight, key_weight, score_weight, hidden_bias = params
    kept = kept_pairs(mask, bias, len(query), len(key))

    def hidden_layer(row):
        inputs = key[kept[row]] @ key_weight.T + query_weight @ query[row]
        return np.tanh(inputs if hidden_bias is None else inputs + hidden_bias)

    arrays = [array for array in (*params, query, key) if array is not None]
    scores = np.zeros(kept.shape, np.result_type(*arrays))
    for row in range(len(query)):
        scores[row, kept[row]] = hidden_layer(row) @ score_weight
    output, attend_pullback = attend(scores, value, kept, bias, normalizer)

    def pullback(cotangent):
        d_scores, d_value = attend_pullback(cotangent)
        d_params = type(params)(
            *(None if array is None else np.zeros(array.shape, d_scores.dtype) for array in params)
        )
        d_query, d_key = (np.zeros(x.shape, d_scores.dtype) for x in (query, key))
        for row in range(len(query)):
            keys, hidden = kept[row], hidden_layer(row)
            d_hidden_input = np.outer(d_scores[row, keys], score_weight) * (1 - hidden**2)
            d_params.score_weight[...] += d_scores[row, keys] @ hidden
            d_params.query_weight[...] += np.outer(d_hidden_input.sum(0), query[row])
            d_params.key_weight[...] += d_hidden_input.T @ key[keys]
            if hidden_bias is not None:
                d_params.bias[...] += d_hidden_input.sum(0)
            d_query[row] = d_hidden_input.sum(0) @ query_weight
            d_key[keys] += d_hidden_input @ key_weight
        return with_bias((d_params, d_query, d_key, d_value), bias, d_scores)

    return output, pullback
