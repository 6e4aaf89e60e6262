"""The scoring network of additive attention for one query, shared by mechanisms with memory."""

from typing import Any

import numpy as np


def scores_of(params, query, key, row, keys, more: Any = 0):
    """Returns (scores, back) of the keys `keys` for query `row`, as additive attention has them.

    With z_s = Wq q + Wk k_s + β + more_s, h_s = tanh(z_s) and e_s = w · h_s:

        dw  = Σ de_s h_s        dz_s = de_s w ∘ (1 - h_s²)      dβ = Σ dz_s
        dWq = (Σ dz_s) qᵀ       dWk = Σ dz_s k_sᵀ
        dq  = Wqᵀ Σ dz_s        dk_s = Wkᵀ dz_s                 dmore_s = dz_s

    `back(d_scores, gradients)` adds to the gradients by name and returns dmore.
    """
    z = key[keys] @ params.key_weight.T + params.query_weight @ query[row] + more
    h = np.tanh(z if params.bias is None else z + params.bias)

    def back(d_scores, gradients):
        d_z = np.outer(d_scores, params.score_weight) * (1 - h**2)
        gradients["score_weight"] += d_scores @ h
        gradients["query_weight"] += np.outer(d_z.sum(0), query[row])
        gradients["key_weight"] += d_z.T @ key[keys]
        gradients["query"][row] += d_z.sum(0) @ params.query_weight
        gradients["key"][keys] += d_z @ params.key_weight
        if params.bias is not None:
            gradients["bias"] += d_z.sum(0)
        return d_z

    return h @ params.score_weight, back


def weights_of(scores, bias, row, keys, normalizer):
    """Returns (weights, back) of the scores of one query's keys and their bias.

    `back(d_weights, gradients)` adds to the gradient of the bias and returns that of the scores.
    """
    biased = scores if bias is None else scores + bias[row, keys]
    (weights,), of_normalizer = normalizer(biased[None], None)

    def back(d_weights, gradients):
        d_scores = of_normalizer(d_weights[None])[0][0]
        if bias is not None:
            gradients["pairs"][row, keys] += d_scores
        return d_scores

    return weights, back
