"""LASER attention in NumPy, one query at a time, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.attention.scaled_dot_product import scaled_dot_product_attention
from jattn.oracle.normalizers import softmax


def laser_attention(query, key, value, *, mask=None, bias=None, scale=None, normalizer=softmax):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    With c = log Σ a_s exp(v_s) for each feature, and the shares p_s = a_s exp(v_s - c):

        da_s = Σ exp(v_s - c) dc + dweights_s      dv_s = Σ p_s dc

    The weights are those of scaled dot-product attention, whose context is not used.
    """
    (_, weights), of_weights = scaled_dot_product_attention(
        query, key, value, mask=mask, bias=bias, scale=scale, normalizer=normalizer
    )
    context = np.zeros((len(query), value.shape[1]), weights.dtype)
    for t, row in enumerate(weights):
        there = np.flatnonzero(row.real > 0)
        for v in range(value.shape[1]) if there.size else ():
            top = value[there, v].real.max()
            context[t, v] = top + np.log(row[there] @ np.exp(value[there, v] - top))

    def pullback(cotangent):
        d_context, d_weights = cotangent
        kind = np.result_type(weights, d_context, d_weights)
        d_all, d_value = np.array(d_weights, kind), np.zeros(value.shape, kind)
        for t, s in zip(*np.nonzero(weights.real > 0), strict=True):
            growth = np.exp(value[s] - context[t])
            d_all[t, s] += growth @ d_context[t]
            d_value[s] += weights[t, s] * growth * d_context[t]
        d_query, d_key, _, *others = of_weights((np.zeros_like(d_context), d_all))
        return (d_query, d_key, d_value, *others)

    return (context, weights), pullback
