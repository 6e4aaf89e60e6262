"""Multi-head attention in NumPy, one head at a time, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.attention.attend import kept_pairs
from jattn.oracle.normalizers import softmax


def multi_head_attention(
    params,
    query,
    key,
    value,
    *,
    mask=None,
    bias=None,
    scale=None,
    logits_soft_cap=None,
    sinks=None,
    normalizer=softmax,
    turn=None,
    query_offset=0,
    dropout_rate=0.0,
    dropout_rng=None,
    attend=None,
):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    For head h of group g, with Q = query Wqᵀ + bq, K = key Wkᵀ + bk, V = value Wvᵀ + bv and
    C = attention(Q, K, V), the output is y_t = Σ_h Wo_h C_ht + bo for queries that read a key:

        dC_h  = dy Wo_h        dWo_h = dyᵀ C_h        dbo = Σ_t dy_t
        dWq_h = dQᵀ query      dbq_h = Σ_t dQ_t       dquery = Σ_h dQ Wq_h
        and likewise for key and value, where the heads of a group add up.

    `turn(heads, positions)` returns (turned, pullback), and dQ is the pullback of the gradient of
    the turned queries. `dropout_rng` is the array [h t s] of the weights that are kept, True or
    False. The pullback returns the gradients of params, query, key and value, then of bias, scale
    and sinks where they are arrays. The values are the same for every `attend`.
    """
    heads, groups = len(params.query_weight), len(params.key_weight)
    t, s = len(query), len(key)
    bias_of = [None if bias is None else bias if bias.ndim == 2 else bias[h] for h in range(heads)]
    kept = [kept_pairs(mask, bias_of[head], t, s) for head in range(heads)]
    reads = np.asarray(kept if heads else [kept_pairs(mask, None, t, s)])
    # Queries that read no key and keys that no query reads are left out.
    rows, columns = np.nonzero(reads.any((0, 2)))[0], np.nonzero(reads.any((0, 1)))[0]
    drawn = np.broadcast_to(True if dropout_rng is None else dropout_rng, (heads, t, s))
    dropped = drawn / (1 - dropout_rate)

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
        (context, weights), head_pullback = attend_head(
            queries,
            keys,
            project(params.value_weight, params.value_bias, value, group, columns),
            kept[head],
            bias_of[head],
            scale,
            logits_soft_cap,
            None if sinks is None else sinks[head],
            normalizer,
            dropped[head],
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
        d_scale, d_sinks = np.zeros((), dtype), np.zeros(heads, dtype)
        for head in range(heads):
            group = head // (heads // groups)
            d.output_weight[:, head] = d_output.T @ contexts[head]
            d_head = d_output @ params.output_weight[:, head]
            head_pullback, queries_pullback, keys_pullback = pullbacks[head]
            d_queries, d_keys, d_values, d_scores, d_scale_of_head, d_sinks[head] = head_pullback(
                (d_head, d_weights[head])
            )
            d_scale += d_scale_of_head
            d_parts = (*queries_pullback(d_queries), *keys_pullback(d_keys), d_values)
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
                (d_bias if d_bias.ndim == 2 else d_bias[head])[...] += d_scores
        if d.output_bias is not None:
            d.output_bias[...] = d_output.sum(0)
        options = (bias, d_bias), (scale, d_scale), (sinks, d_sinks)
        return (d, *d_inputs, *(gradient for x, gradient in options if hasattr(x, "dtype")))

    return (output, np.reshape(all_weights, (heads, t, s))), pullback


def attend_head(queries, keys, values, kept, bias, scale, cap, sink, normalizer, dropped):
    """Returns ((context, weights), pullback) of one head; `kept` has the pairs that count.

    For one query q over the keys s that it reads, with the scale λ, the cap c, a sink z where one
    is given, and the factor m_s of dropout:

        x_s = λ k_s · q        y_s = c tanh(x_s / c)        e_s = y_s + b_s
        (a, a_z) = normalizer((e, z))        o = Σ a_s m_s v_s

    The weight a_z is left out, so its cotangent is 0. Backwards:

        da_s = dweights_s + m_s v_s · do        dv_s = a_s m_s do
        (de, dz) = pullback of (da, 0)          db_s = dy_s = de_s
        dx_s = dy_s (1 - tanh²(x_s / c))        dλ = Σ dx_s k_s · q
        dq = λ Σ dx_s k_s                       dk_s = λ dx_s q

    The pullback returns the gradients of queries, keys, values, bias, scale and sink.
    """
    t, s = kept.shape
    factor = 1 / np.sqrt(queries.real.dtype.type(max(queries.shape[1], 1)))
    factor = factor if scale is None else scale
    options = [x for x in (bias, sink, factor) if x is not None]
    dtype = np.result_type(queries, keys, values, *options)
    logits, seen = np.zeros((t, s + 1), dtype), np.zeros((t, s + 1), bool)
    seen[:, :s] = kept
    if sink is not None and sink.real != -np.inf:
        logits[:, s], seen[:, s] = sink, True
    for row in range(t):
        for column in np.flatnonzero(kept[row]):
            score = factor * (keys[column] @ queries[row])
            score = score if cap is None else cap * np.tanh(score / cap)
            logits[row, column] = score if bias is None else score + bias[row, column]
    all_weights, weights_pullback = normalizer(logits, seen)
    weights = all_weights[:, :s]
    context = np.zeros((t, values.shape[1]), dtype)
    for row in range(t):
        for column in np.flatnonzero(kept[row]):
            context[row] += weights[row, column] * dropped[row, column] * values[column]

    def pullback(cotangent):
        d_context, d_weights = cotangent
        kind = np.result_type(dtype, d_context, d_weights)
        d_queries, d_keys, d_values = (np.zeros(x.shape, kind) for x in (queries, keys, values))
        d_all = np.zeros((t, s + 1), kind)
        for row, column in zip(*np.nonzero(kept), strict=True):
            along = dropped[row, column] * (values[column] @ d_context[row])
            d_all[row, column] = d_weights[row, column] + along
            d_values[column] += weights[row, column] * dropped[row, column] * d_context[row]
        (d_logits,) = weights_pullback(d_all)
        d_scale = np.zeros((), kind)
        for row, column in zip(*np.nonzero(kept), strict=True):
            product, d_score = keys[column] @ queries[row], d_logits[row, column]
            if cap is not None:
                d_score = d_score * (1 - np.tanh(factor * product / cap) ** 2)
            d_scale += d_score * product
            d_queries[row] += factor * d_score * keys[column]
            d_keys[column] += factor * d_score * queries[row]
        d_bias = np.where(kept, d_logits[:, :s], 0)
        return d_queries, d_keys, d_values, d_bias, d_scale, d_logits[:, s].sum()

    return (context, weights), pullback


def _only(rows, array):
    """The given rows of an array, and zero elsewhere."""
    kept = np.zeros_like(array)
    kept[rows] = array[rows]
    return kept
