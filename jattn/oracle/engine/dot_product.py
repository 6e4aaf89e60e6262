"""Batched dot-product attention in NumPy, one query of a head at a time, its gradient by hand."""

import numpy as np

from jattn.oracle.engine.pairs import added_up, allowed_pairs


def dot_product_attention(
    query,
    key,
    value,
    bias=None,
    mask=None,
    *,
    scale=None,
    is_causal=False,
    query_seq_lengths=None,
    key_value_seq_lengths=None,
    local_window_size=None,
    implementation=None,
    return_residual=False,
    query_offset=0,
    logits_soft_cap=None,
    sinks=None,
    dropout_rate=0.0,
    dropout_rng=None,
    return_weights=False,
    chunk_size=None,
    precision=None,
    planner=None,
):
    """Returns (output, pullback), or ((output, lse, weights), pullback) with what is asked for.

    For one query q of one head, over the keys s that it may read, and a sink z where one is given:

        x_s = λ k_s · q        y_s = c tanh(x_s / c)        e_s = y_s + b_s
        L = log(exp(z) + Σ exp(e_s))        a_s = exp(e_s - L)        o = Σ a_s m_s v_s

    where m_s is 1 / (1 - rate) for a kept weight and 0 for a dropped one. As ∂L/∂e_s = a_s and
    ∂a_r/∂e_s = a_r (δ_rs - a_s), with da_s = dweights_s + m_s v_s · do and g = Σ a_s da_s:

        db_s = dy_s = de_s = a_s (da_s - g + dL)        dz = exp(z - L) (dL - g)
        dx_s = dy_s (1 - tanh²(x_s / c))                dc = Σ dy_s tanh(x_s / c) - dx_s x_s / c
        dλ = Σ dx_s k_s · q        dq = λ Σ dx_s k_s        dk_s = λ dx_s q        dv_s = a_s m_s do

    A key's gradients add up over the heads that share it, a bias's over the axes that it lacked.
    The pullback returns those of query, key and value, then those of bias, scale, logits_soft_cap
    and sinks where they are arrays. Here `dropout_rng` is the array of what is kept, True or
    False, that the generator would have drawn; `implementation`, `chunk_size`, `precision` and
    `planner` say how to compute the same, and are not read.
    """
    *leading, t, heads, width = query.shape
    s, groups, size = value.shape[-3:]
    pairs = (*leading, heads, t, s)
    allowed = allowed_pairs(
        pairs,
        bias,
        mask,
        is_causal,
        query_seq_lengths,
        key_value_seq_lengths,
        local_window_size,
        query_offset,
    )
    batch = len(allowed)
    factor = 1 / np.sqrt(query.real.dtype.type(max(width, 1))) if scale is None else scale
    arrays = [x for x in (bias, scale, logits_soft_cap, sinks) if hasattr(x, "dtype")]
    dtype = np.result_type(query, key, value, *arrays)
    queries, keys, values = (x.reshape(batch, *x.shape[-3:]) for x in (query, key, value))
    biases = None if bias is None else np.broadcast_to(bias, pairs).reshape(allowed.shape)
    kept = np.broadcast_to(True if dropout_rng is None else dropout_rng, pairs)
    kept = kept.reshape(allowed.shape) / (1 - dropout_rate)
    output = np.zeros((batch, t, heads, size), dtype)
    weights = np.zeros(allowed.shape, dtype)
    lse = np.full((batch, t, heads), -np.inf, dtype)
    rows = [(b, h, row) for b in range(batch) for h in range(heads) for row in range(t)]

    def products(b, h, row):
        read = np.flatnonzero(allowed[b, h, row])
        group = h // (heads // groups)
        return read, group, keys[b, read, group] @ queries[b, row, h]

    for b, h, row in rows:
        read, group, product = products(b, h, row)
        scores = product * factor
        if logits_soft_cap is not None:
            scores = logits_soft_cap * np.tanh(scores / logits_soft_cap)
        if biases is not None:
            scores = scores + biases[b, h, row, read]
        logits = scores if sinks is None else np.append(scores, sinks[h])
        largest = np.max(np.real(logits), initial=-np.inf)
        if largest == -np.inf:
            continue
        lse[b, row, h] = largest + np.log(np.exp(logits - largest).sum())
        weights[b, h, row, read] = np.exp(scores - lse[b, row, h])
        output[b, row, h] = (weights[b, h, row] * kept[b, h, row])[read] @ values[b, read, group]

    def pullback(cotangent):
        given = iter(cotangent if return_residual or return_weights else (cotangent,))
        d_output = next(given).reshape(output.shape)
        d_lse = next(given).reshape(lse.shape) if return_residual else np.zeros(lse.shape)
        d_weights = (
            next(given).reshape(weights.shape) if return_weights else np.zeros(weights.shape)
        )
        d_dtype = np.result_type(dtype, d_output, d_lse, d_weights)
        d_queries, d_keys, d_values = (np.zeros(x.shape, d_dtype) for x in (queries, keys, values))
        d_pairs = np.zeros(weights.shape, d_dtype)
        d_scale, d_cap = np.zeros((), d_dtype), np.zeros((), d_dtype)
        d_sinks = np.zeros(heads, d_dtype)
        for b, h, row in rows:
            if lse[b, row, h].real == -np.inf:
                continue
            read, group, product = products(b, h, row)
            weight, scaled = weights[b, h, row, read], product * factor
            m, d = kept[b, h, row, read], d_output[b, row, h]
            d_weight = d_weights[b, h, row, read] + m * (values[b, read, group] @ d)
            shared = weight @ d_weight - d_lse[b, row, h]
            d_score = d_pairs[b, h, row, read] = weight * (d_weight - shared)
            if sinks is not None:
                d_sinks[h] -= np.exp(sinks[h] - lse[b, row, h]) * shared
            if logits_soft_cap is not None:
                capped = np.tanh(scaled / logits_soft_cap)
                d_cap += d_score @ capped
                d_score = d_score * (1 - capped**2)
                d_cap -= d_score @ scaled / logits_soft_cap
            d_scale += d_score @ product
            d_queries[b, row, h] = factor * d_score @ keys[b, read, group]
            d_keys[b, read, group] += factor * np.outer(d_score, queries[b, row, h])
            d_values[b, read, group] += np.outer(weight * m, d)
        gradients = [
            d.reshape(x.shape)
            for d, x in zip((d_queries, d_keys, d_values), (query, key, value), strict=True)
        ]
        if bias is not None:
            gradients.append(added_up(d_pairs.reshape(pairs), bias.shape))
        options = ((scale, d_scale), (logits_soft_cap, d_cap), (sinks, d_sinks))
        return (*gradients, *(d for option, d in options if hasattr(option, "dtype")))

    shaped = output.reshape(*leading, t, heads, size)
    asked = (lse.reshape(*leading, t, heads),) * return_residual
    asked += (weights.reshape(pairs),) * return_weights
    return ((shaped, *asked) if asked else shaped), pullback
