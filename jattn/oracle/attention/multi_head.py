"""Multi-head attention in NumPy, one head at a time, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.attention.attend import kept_pairs
from jattn.oracle.attention.scaled_dot_product import scaled_dot_product_attention
from jattn.oracle.normalizers import softmax


def multi_head_attention(
    params,
    query,
    key,
    value,
    *,
    mask=None,
    bias=None,
    normalizer=softmax,
    turn=None,
    query_offset=0,
):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    For head h of group g, with Q = query Wqᵀ + bq, K = key Wkᵀ + bk, V = value Wvᵀ + bv and
    C = attention(Q, K, V), the output is y_t = Σ_h Wo_h C_ht + bo for queries that read a key:

        dC_h  = dy Wo_h        dWo_h = dyᵀ C_h        dbo = Σ_t dy_t
        dWq_h = dQᵀ query      dbq_h = Σ_t dQ_t       dquery = Σ_h dQ Wq_h
        and likewise for key and value, where the heads of a group add up.

    `turn(heads, positions)` returns (turned, pullback), and dQ is the pullback of its own gradient.
    """
    heads, groups = len(params.query_weight), len(params.key_weight)
    t, s = len(query), len(key)
    bias_of = [None if bias is None else bias if bias.ndim == 2 else bias[h] for h in range(heads)]
    kept = [kept_pairs(mask, bias_of[head], t, s) for head in range(heads)]
    reads = np.asarray(kept if heads else [kept_pairs(mask, None, t, s)])
    # What is read by nobody is left out.
    rows, columns = np.nonzero(reads.any((0, 2)))[0], np.nonzero(reads.any((0, 1)))[0]

    def project(weight, weight_bias, inputs, index, used):
        projected = np.zeros((len(inputs), weight.shape[1]), np.result_type(weight, inputs))
        projected[used] = inputs[used] @ weight[index].T
        if weight_bias is not None:
            projected = projected + weight_bias[index]
        return projected

    def turned(heads, offset):
        if turn is None:
            return heads, lambda d_heads: (d_heads,)
        return turn(heads, offset + np.arange(len(heads)))

    contexts, all_weights, pullbacks = [], [], []
    for head in range(heads):
        group = head // (heads // groups)
        queries, queries_pullback = turned(
            project(params.query_weight, params.query_bias, query, head, rows), query_offset
        )
        keys, keys_pullback = turned(
            project(params.key_weight, params.key_bias, key, group, columns), 0
        )
        (context, weights), head_pullback = scaled_dot_product_attention(
            queries,
            keys,
            project(params.value_weight, params.value_bias, value, group, columns),
            mask=mask,
            bias=bias_of[head],
            normalizer=normalizer,
        )
        contexts.append(context)
        all_weights.append(weights)
        pullbacks.append((head_pullback, queries_pullback, keys_pullback))
    output = np.zeros((t, len(params.output_weight)), np.result_type(query, params.output_weight))
    for head, context in enumerate(contexts):
        output = output + context @ params.output_weight[:, head].T
    if params.output_bias is not None:
        output = output + params.output_bias
    output = _only(rows, output)

    def pullback(cotangent):
        d_output, d_weights = cotangent
        d_output = _only(rows, d_output)
        dtype = np.result_type(output, d_output, d_weights)
        d = type(params)(*(None if x is None else np.zeros(x.shape, dtype) for x in params))
        d_inputs = [np.zeros(x.shape, dtype) for x in (query, key, value)]
        d_bias = None if bias is None else np.zeros(bias.shape, dtype)
        for head in range(heads):
            group = head // (heads // groups)
            d.output_weight[:, head] = d_output.T @ contexts[head]
            d_head = d_output @ params.output_weight[:, head]
            head_pullback, queries_pullback, keys_pullback = pullbacks[head]
            d_queries, d_keys, *of_head = head_pullback((d_head, d_weights[head]))
            d_parts = (*queries_pullback(d_queries), *keys_pullback(d_keys), of_head[0])
            projections = (
                (params.query_weight, d.query_weight, d.query_bias, query, head, rows),
                (params.key_weight, d.key_weight, d.key_bias, key, group, columns),
                (params.value_weight, d.value_weight, d.value_bias, value, group, columns),
            )
            for d_part, d_input, projection in zip(d_parts, d_inputs, projections, strict=True):
                weight, d_weight, d_weight_bias, inputs, index, used = projection
                d_weight[index] += d_part[used].T @ inputs[used]
                d_input[used] += d_part[used] @ weight[index]
                if d_weight_bias is not None:
                    d_weight_bias[index] += d_part.sum(0)
            if d_bias is not None:
                (d_bias if d_bias.ndim == 2 else d_bias[head])[...] += of_head[1]
        if d.output_bias is not None:
            d.output_bias[...] = d_output.sum(0)
        return (d, *d_inputs) if bias is None else (d, *d_inputs, d_bias)

    return (output, np.reshape(all_weights, (heads, t, s))), pullback


def _only(rows, array):
    """The given rows of an array, and zero elsewhere."""
    kept = np.zeros_like(array)
    kept[rows] = array[rows]
    return kept
