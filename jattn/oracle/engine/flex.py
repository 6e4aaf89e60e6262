"""Attention with functions of the caller in NumPy, one query of a head at a time."""

import numpy as np

from jattn.oracle.engine.pairs import allowed_pairs
from jattn.oracle.normalizers import softmax


def flex_attention(
    query,
    key,
    value,
    *params,
    score=None,
    weight=None,
    bias=None,
    mask=None,
    normalizer=softmax,
    scale=None,
    query_offset=0,
):
    """Returns ((output, weights), pullback).

    For one query q of one head, over the keys s that it may read, with p the parameters:

        x_s = λ k_s · q      e = score(x, p) + b      a = normalizer(e)      w = weight(a, p)
        o = Σ w_s v_s

    Then dv_s = w_s do and dw_s = v_s · do. The pullbacks of the functions give da and dx from dw
    and de, and their shares of dp; to da come the cotangents of the weights a. At last
    dq = λ Σ dx_s k_s and dk_s = λ dx_s q.

    Here `score` and `weight` are called with the row and its batch, head, query, keys and the
    parameters, and return the new row and a pullback of it to the row and to each parameter. A
    score of -inf leaves its key out. Arguments come as [b t h k], [b s g k], [b s g v], the bias as
    [b h t s]; the pullback returns the gradients of query, key, value and the parameters.
    """
    (*leading, t, heads, width), (s, groups, _) = query.shape, value.shape[-3:]
    pairs = (*leading, heads, t, s)
    allowed = allowed_pairs(pairs, bias, mask, False, None, None, (None, None), 0)
    offsets = np.broadcast_to(query_offset, len(allowed))
    factor = width**-0.5 if scale is None else scale
    arrays = query, key, value, *params
    dtype = np.result_type(*[x for x in arrays if np.issubdtype(x.dtype, np.inexact)])
    queries, keys, values = (x.reshape(-1, *x.shape[-3:]) for x in (query, key, value))
    biases = None if bias is None else np.broadcast_to(bias, pairs).reshape(allowed.shape)
    output = np.zeros((len(allowed), t, heads, value.shape[-1]), dtype)
    weights = np.zeros(allowed.shape, dtype)
    steps = {}
    for b, h, row in np.ndindex(len(allowed), heads, t):
        read, group = np.flatnonzero(allowed[b, h, row]), h // (heads // groups)
        scores = factor * keys[b, read, group] @ queries[b, row, h]
        place, of_score = (b, h, row + offsets[b]), None
        if score is not None:
            scores, of_score = score(scores, *place, read, *params)
        kept = scores.real > -np.inf
        read, given = read[kept], len(read)
        if not read.size:
            continue
        scores = scores[kept] if biases is None else scores[kept] + biases[b, h, row, read]
        found, of_normalizer = normalizer(scores[None])
        found, of_weight = found[0], None
        weights[b, h, row, read] = found
        if weight is not None:
            found, of_weight = weight(found, *place, read, *params)
        output[b, row, h] = found @ values[b, read, group]
        steps[b, h, row] = read, group, kept, given, found, of_score, of_normalizer, of_weight

    def pullback(cotangent):
        d_output, d_weights = (
            x.reshape(y.shape) for x, y in zip(cotangent, (output, weights), strict=True)
        )
        d_dtype = np.result_type(dtype, d_output, d_weights)
        d_queries, d_keys, d_values = (np.zeros(x.shape, d_dtype) for x in (queries, keys, values))
        d_params = [np.zeros(x.shape, d_dtype) for x in params]

        def through(function, d_row):
            d_row, *of_params = function(d_row)
            for total, one in zip(d_params, of_params, strict=True):
                total += one
            return d_row

        for (b, h, row), step in steps.items():
            read, group, kept, given, found, of_score, of_normalizer, of_weight = step
            d = d_output[b, row, h]
            d_values[b, read, group] += np.outer(found, d)
            d_row = values[b, read, group] @ d
            d_row = d_row if of_weight is None else through(of_weight, d_row)
            (d_rows,) = of_normalizer((d_row + d_weights[b, h, row, read])[None])
            d_scores = np.zeros(given, d_dtype)
            d_scores[kept] = d_rows[0]
            d_scores = d_scores if of_score is None else through(of_score, d_scores)
            every = np.flatnonzero(allowed[b, h, row])
            d_queries[b, row, h] = factor * d_scores @ keys[b, every, group]
            d_keys[b, every, group] += factor * np.outer(d_scores, queries[b, row, h])
        gradients = zip((d_queries, d_keys, d_values), (query, key, value), strict=True)
        return (*(d.reshape(x.shape) for d, x in gradients), *d_params)

    shapes = (*leading, t, heads, value.shape[-1]), pairs
    return (output.reshape(shapes[0]), weights.reshape(shapes[1])), pullback
