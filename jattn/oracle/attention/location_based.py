"""Location-based attention in NumPy, one query at a time, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.attention.attend import attend, kept_pairs, with_bias
from jattn.oracle.normalizers import softmax


def location_based_attention(params, query, value, *, mask=None, bias=None, normalizer=softmax):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    With e_ts = w_s · q_t:   dw_s = Σ_t de_ts q_t      dq_t = Σ_s de_ts w_s

    Values past the last row of the weight do not count.
    """
    weight = params.weight
    kept = kept_pairs(mask, bias, len(query), len(value))
    kept[:, len(weight) :] = False
    scores = np.zeros(kept.shape, np.result_type(weight, query))
    for row in range(len(query)):
        for column in np.flatnonzero(kept[row]):
            scores[row, column] = weight[column] @ query[row]
    output, attend_pullback = attend(scores, value, kept, bias, normalizer)

    def pullback(cotangent):
        d_scores, d_value = attend_pullback(cotangent)
        d_weight, d_query = (np.zeros(x.shape, d_scores.dtype) for x in (weight, query))
        for row in range(len(query)):
            for column in np.flatnonzero(kept[row]):
                d_weight[column] += d_scores[row, column] * query[row]
                d_query[row] += d_scores[row, column] * weight[column]
        return with_bias((params._replace(weight=d_weight), d_query, d_value), bias, d_scores)

    return output, pullback
