"""Relative positions of Transformer-XL in NumPy, one pair at a time."""

import numpy as np

from jattn.oracle.attention.attend import attend, kept_pairs, with_bias
from jattn.oracle.normalizers import softmax


def transformer_xl_attention(
    params,
    query,
    key,
    value,
    *,
    offset=0,
    base=10000.0,
    mask=None,
    bias=None,
    normalizer=softmax,
):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    With p = W x(n) for the sinusoids x of the pair's distance n, and e = (q + u) · k + (q + v) · p,
    all over √k:

        dq = Σ de (k + p)     dk = Σ de (q + u)     du = Σ de k     dv = Σ de p
        dW = Σ de (q + v) xᵀ
    """
    weight, of_content, of_position = params
    kept = kept_pairs(mask, bias, len(query), len(key))
    real = query.real.dtype.type
    root = np.sqrt(real(max(query.shape[1], 1)))
    size = weight.shape[1]

    def sinusoids(t, s):
        turns = [
            real(t + int(offset) - s) / real(base) ** (real(2 * i) / size)
            for i in range((size + 1) // 2)
        ]
        return np.array([*map(np.sin, turns), *map(np.cos, turns)][:size], real)

    pairs = list(zip(*np.nonzero(kept), strict=True))
    scores = np.zeros(kept.shape, np.result_type(*params, query, key))
    for t, s in pairs:
        far = weight @ sinusoids(t, s)
        scores[t, s] = (query[t] @ (key[s] + far) + of_content @ key[s] + of_position @ far) / root
    output, attend_pullback = attend(scores, value, kept, bias, normalizer)

    def pullback(cotangent):
        d_scores, d_value = attend_pullback(cotangent)
        d_weight, d_of_content, d_of_position, d_query, d_key = (
            np.zeros(array.shape, d_scores.dtype) for array in (*params, query, key)
        )
        for t, s in pairs:
            share, place = d_scores[t, s] / root, sinusoids(t, s)
            far = weight @ place
            d_query[t] += share * (key[s] + far)
            d_key[s] += share * (query[t] + of_content)
            d_of_content += share * key[s]
            d_of_position += share * far
            d_weight += share * np.outer(query[t] + of_position, place)
        d_params = type(params)(d_weight, d_of_content, d_of_position)
        return with_bias((d_params, d_query, d_key, d_value), bias, d_scores)

    return output, pullback
