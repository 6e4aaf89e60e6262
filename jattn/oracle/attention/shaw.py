"""Relative positions in keys and values in NumPy, one query at a time."""

from typing import Any

import numpy as np

from jattn.oracle.attention.attend import attend, kept_pairs, with_bias
from jattn.oracle.normalizers import softmax


def shaw_attention(
    params, query, key, value, *, offset=0, mask=None, bias=None, normalizer=softmax
):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    With r the row of the distance of a pair and e = q · (k + A_r) / √k:

        dq = Σ de (k + A_r) / √k      dk = Σ de q / √k      dA_r = Σ de q / √k of its pairs

    With values: c = Σ a (v + B_r), so dB_r = Σ a dc of its pairs, and da has B_r · dc in addition.
    """
    keys_of, values_of = params
    limit = (len(keys_of) - 1) // 2
    kept = kept_pairs(mask, bias, len(query), len(key))
    root = query.real.dtype.type(query.shape[1]) ** 0.5 if query.shape[1] else 1

    def rows(t):
        there = np.flatnonzero(kept[t])
        return there, [min(max(s - t - int(offset), -limit), limit) + limit for s in there]

    arrays = [array for array in (*params, query, key) if array is not None]
    scores = np.zeros(kept.shape, np.result_type(*arrays))
    for t in range(len(query)):
        there, near = rows(t)
        scores[t, there] = (key[there] + keys_of[near]) @ query[t] / root
    (context, weights), attend_pullback = attend(scores, value, kept, bias, normalizer)
    context = context.astype(np.result_type(context, *arrays))
    for t in range(len(query)):
        if values_of is not None:
            there, near = rows(t)
            context[t] += weights[t, there] @ values_of[near]

    def pullback(cotangent):
        d_context, d_weights = (np.array(x) for x in cotangent)
        d_weights = d_weights.astype(np.result_type(weights, d_context, d_weights))
        kind = d_weights.dtype
        d_keys_of = np.zeros(keys_of.shape, kind)
        d_values_of: Any = None if values_of is None else np.zeros(values_of.shape, kind)
        for t in range(len(query)):
            there, near = rows(t)
            for s, row in zip(there, near, strict=True):
                if values_of is not None:
                    d_weights[t, s] += values_of[row] @ d_context[t]
                    d_values_of[row] += weights[t, s] * d_context[t]
        d_scores, d_value = attend_pullback((d_context, d_weights))
        d_query, d_key = (np.zeros(x.shape, d_scores.dtype) for x in (query, key))
        for t in range(len(query)):
            there, near = rows(t)
            for s, row in zip(there, near, strict=True):
                share = d_scores[t, s] / root
                d_query[t] += share * (key[s] + keys_of[row])
                d_key[s] += share * query[t]
                d_keys_of[row] += share * query[t]
        d_params = type(params)(d_keys_of, d_values_of)
        return with_bias((d_params, d_query, d_key, d_value), bias, d_scores)

    return (context, weights), pullback
