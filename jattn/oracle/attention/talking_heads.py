"""Talking-heads attention in NumPy, one pair at a time, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.attention import heads
from jattn.oracle.normalizers import softmax


def talking_heads_attention(
    params,
    query,
    key,
    value,
    *,
    mask=None,
    bias=None,
    scale=None,
    turn=None,
    query_offset=0,
    normalizer=softmax,
):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    For one pair, with the logits l of its heads, z = A l + b, p = softmax(z) along the keys, and
    w = B p, of which head m weighs the value v_m:

        dw_m = dweights_m + v_m · dc_m        dB = dw pᵀ        dp = Bᵀ dw
        dz = softmax's pullback of dp         dA = dz lᵀ        dl = Aᵀ dz
    """
    into, of_keys, of_values, out, before, after = params
    sizes = len(before), len(query), len(key)
    kept, biases, rows, columns = heads.pairs_of_heads(mask, bias, *sizes)
    any_kept = np.any(kept or heads.pairs_of_heads(mask, None, 1, *sizes[1:])[0], axis=0)
    flat, of_query = heads.to_heads(into, None, query, rows)
    queries, unturn_queries = heads.turned(turn, flat, query_offset)
    flat, of_key = heads.to_heads(of_keys, None, key, columns)
    keys, unturn_keys = heads.turned(turn, flat, 0)
    values, of_value = heads.to_heads(of_values, None, value, columns)
    scored = [heads.products(q, k, scale, any_kept) for q, k in zip(queries, keys, strict=True)]
    kind = np.result_type(queries, keys, before, *(x for x in (bias, scale) if x is not None))
    logits = np.asarray([scores for scores, _ in scored], kind).reshape(len(into), *sizes[1:])
    plain, backs = np.zeros(sizes, kind), []
    for head in range(sizes[0]):
        mixed = np.zeros(sizes[1:], kind)
        for t, s in zip(*np.nonzero(kept[head]), strict=True):
            mixed[t, s] = before[head] @ logits[:, t, s]
            own = biases[head]
            mixed[t, s] += 0 if own is None else own[t, s]
        plain[head], back = normalizer(mixed, kept[head])
        backs.append(back)
    weights = np.tensordot(after, plain, 1)
    contexts = np.zeros((len(after), len(query), values.shape[2]), np.result_type(weights, values))
    for t, s in zip(*np.nonzero(any_kept), strict=True):
        contexts[:, t] += weights[:, t, s, None] * values[:, s]
    output, of_join = heads.join(out, None, contexts, rows)

    def pullback(cotangent):
        d_out, _, d_contexts = of_join(cotangent[0])
        dtype = np.result_type(d_contexts, cotangent[1])
        d_weights, d_values = np.array(cotangent[1], dtype), np.zeros(values.shape, dtype)
        for t, s in zip(*np.nonzero(any_kept), strict=True):
            d_weights[:, t, s] += (values[:, s] * d_contexts[:, t]).sum(1)
            d_values[:, s] += weights[:, t, s, None] * d_contexts[:, t]
        d_after, d_plain = np.zeros(after.shape, dtype), np.zeros(sizes, dtype)
        d_before, d_logits = np.zeros(before.shape, dtype), np.zeros(logits.shape, dtype)
        for t, s in np.ndindex(sizes[1:]):
            d_after += np.outer(d_weights[:, t, s], plain[:, t, s])
            d_plain[:, t, s] = after.T @ d_weights[:, t, s]
        d_scores = np.zeros(sizes, dtype)
        for head, back in enumerate(backs):
            d_scores[head] = np.where(kept[head], back(d_plain[head])[0], 0)
        for t, s in zip(*np.nonzero(any_kept), strict=True):
            d_before += np.outer(d_scores[:, t, s], logits[:, t, s])
            d_logits[:, t, s] = before.T @ d_scores[:, t, s]
        d_queries, d_keys = np.zeros(queries.shape, dtype), np.zeros(keys.shape, dtype)
        d_scale = np.zeros((), dtype)
        for head, (_, back) in enumerate(scored):
            d_queries[head], d_keys[head], d_factor = back(d_logits[head])
            d_scale += d_factor
        d_into, _, d_query = of_query(unturn_queries(d_queries))
        d_of_keys, _, d_key = of_key(unturn_keys(d_keys))
        d_of_values, _, d_value = of_value(d_values)
        d_params = type(params)(d_into, d_of_keys, d_of_values, d_out, d_before, d_after)
        inputs = (d_params, d_query, d_key, d_value)
        return (*inputs, *heads.drawn(bias, d_scores, (scale, d_scale)))

    return (output, weights), pullback
