"""Concat attention in NumPy, one pair at a time, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.attention.attend import attend, kept_pairs, with_bias
from jattn.oracle.normalizers import softmax


def concat_attention(params, query, key, value, *, mask=None, bias=None, normalizer=softmax):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    For one pair, with x = [q; k], h = tanh(W x) and e = w · h:

        dw = de h      dz = de w ∘ (1 - h²)      dW = dz xᵀ      [dq; dk] = Wᵀ dz
    """
    weight, score_weight = params
    kept = kept_pairs(mask, bias, len(query), len(key))
    pairs = [
        (row, column, np.concatenate([query[row], key[column]]))
        for row, column in zip(*np.nonzero(kept), strict=True)
    ]
    scores = np.zeros(kept.shape, np.result_type(weight, score_weight, query, key))
    for row, column, pair in pairs:
        scores[row, column] = score_weight @ np.tanh(weight @ pair)
    output, attend_pullback = attend(scores, value, kept, bias, normalizer)

    def pullback(cotangent):
        d_scores, d_value = attend_pullback(cotangent)
        d_weight, d_score_weight, d_query, d_key = (
            np.zeros(x.shape, d_scores.dtype) for x in (weight, score_weight, query, key)
        )
        for row, column, pair in pairs:
            hidden = np.tanh(weight @ pair)
            d_inputs = d_scores[row, column] * score_weight * (1 - hidden**2)
            d_score_weight += d_scores[row, column] * hidden
            d_weight += np.outer(d_inputs, pair)
            d_pair = weight.T @ d_inputs
            d_query[row] += d_pair[: query.shape[1]]
            d_key[column] += d_pair[query.shape[1] :]
        gradients = (type(params)(d_weight, d_score_weight), d_query, d_key, d_value)
        return with_bias(gradients, bias, d_scores)

    return output, pullback
