"""Slot attention in NumPy, one key and then one slot at a time, with its gradient by hand."""

import numpy as np


def slot_attention(query, key, value, *, valid=None, scale=None, epsilon=1e-8):
    """Returns ((context, weights, shares), pullback), as `jax.vjp` does.

    For one key, p_t = exp(e_t) / Σ exp(e_t) over the slots. For one slot, with n = p + ε and the
    sum T of n over the keys, w = n / T and c = Σ w_s v_s:

        dw_s = dweights_s + v_s · dc      dn_s = (dw_s - Σ w dw) / T      dp_s = dn_s + dshares_s
        de_t = p_t (dp_t - Σ p dp)          df = Σ de q · k                   dq = f Σ de k
    """
    used = range(len(key)) if valid is None else np.flatnonzero(valid)
    factor = 1 / np.sqrt(query.real.dtype.type(max(query.shape[1], 1)))
    factor = factor if scale is None else scale
    dtype = np.result_type(query, key, value, factor)
    shares, weights = (np.zeros((len(query), len(key)), dtype) for _ in range(2))
    context, totals = np.zeros((len(query), value.shape[1]), dtype), np.ones(len(query), dtype)
    for s in used:
        if len(query):
            scores = factor * (query @ key[s])
            powers = np.exp(scores - scores.real.max())
            shares[:, s] = powers / powers.sum()
    for t in range(len(query)):
        if len(used):
            totals[t] = sum(shares[t, s] + epsilon for s in used)
        for s in used:
            weights[t, s] = (shares[t, s] + epsilon) / totals[t]
            context[t] += weights[t, s] * value[s]

    def pullback(cotangent):
        d_context, d_weights, d_shares = cotangent
        kind = np.result_type(dtype, d_context, d_weights, d_shares)
        d_query, d_key, d_value = (np.zeros(x.shape, kind) for x in (query, key, value))
        d_parts, d_scale = np.array(d_shares, kind), np.zeros((), kind)
        for t in range(len(query)):
            d_own = {s: d_weights[t, s] + value[s] @ d_context[t] for s in used}
            mean = sum(weights[t, s] * d_own[s] for s in used)
            for s in used:
                d_parts[t, s] += (d_own[s] - mean) / totals[t]
                d_value[s] += weights[t, s] * d_context[t]
        for s in used:
            d_scores = shares[:, s] * (d_parts[:, s] - shares[:, s] @ d_parts[:, s])
            d_query += factor * np.outer(d_scores, key[s])
            d_key[s] = factor * (d_scores @ query)
            d_scale += d_scores @ (query @ key[s])
        gradients = (d_query, d_key, d_value)
        return (*gradients, d_scale) if hasattr(scale, "dtype") else gradients

    return (context, weights, shares), pullback
