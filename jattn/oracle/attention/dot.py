"""Dot-product attention in NumPy, one query at a time, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.attention.attend import attend, kept_pairs, with_bias
from jattn.oracle.normalizers import softmax


def dot_attention(query, key, value, *, mask=None, bias=None, normalizer=softmax):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    With e_ts = q_t · k_s:   dq_t = Σ_s de_ts k_s      dk_s = Σ_t de_ts q_t
    """
    kept = kept_pairs(mask, bias, len(query), len(key))
    scores = np.zeros(kept.shape, np.result_type(query, key))
    for row in range(len(query)):
        scores[row, kept[row]] = key[kept[row]] @ query[row]
    output, attend_pullback = attend(scores, value, kept, bias, normalizer)

    def pullback(cotangent):
        d_scores, d_value = attend_pullback(cotangent)
        d_query, d_key = (np.zeros(x.shape, d_scores.dtype) for x in (query, key))
        for row in range(len(query)):
            keys = kept[row]
            d_query[row] = d_scores[row, keys] @ key[keys]
            d_key[keys] += np.outer(d_scores[row, keys], query[row])
        return with_bias((d_query, d_key, d_value), bias, d_scores)

    return output, pullback
