"""General (bilinear) attention in NumPy, one query at a time, its gradient derived by hand."""

import numpy as np

from jattn.oracle.attention.attend import attend, kept_pairs, with_bias
from jattn.oracle.normalizers import softmax


def general_attention(params, query, key, value, *, mask=None, bias=None, normalizer=softmax):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    With e_ts = q_t · W k_s, and m_t = Σ_s de_ts k_s:

        dW = Σ_t q_t m_tᵀ      dq_t = W m_t      dk_s = Σ_t de_ts Wᵀ q_t
    """
    weight = params.weight
    kept = kept_pairs(mask, bias, len(query), len(key))
    scores = np.zeros(kept.shape, np.result_type(weight, query, key))
    for row in range(len(query)):
        scores[row, kept[row]] = key[kept[row]] @ (weight.T @ query[row])
    output, attend_pullback = attend(scores, value, kept, bias, normalizer)

    def pullback(cotangent):
        d_scores, d_value = attend_pullback(cotangent)
        d_weight, d_query, d_key = (np.zeros(x.shape, d_scores.dtype) for x in (weight, query, key))
        for row in range(len(query)):
            keys = kept[row]
            mixed = d_scores[row, keys] @ key[keys]
            d_weight += np.outer(query[row], mixed)
            d_query[row] = weight @ mixed
            d_key[keys] += np.outer(d_scores[row, keys], weight.T @ query[row])
        gradients = (params._replace(weight=d_weight), d_query, d_key, d_value)
        return with_bias(gradients, bias, d_scores)

    return output, pullback
