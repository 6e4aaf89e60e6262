"""Local attention in NumPy, one query at a time, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.attention.dot import dot_attention
from jattn.oracle.normalizers import softmax


def local_monotonic_attention(
    query,
    key,
    value,
    *,
    half_width,
    offset=0,
    attention=dot_attention,
    mask=None,
    bias=None,
    normalizer=softmax,
):
    """Returns ((context, weights), pullback) of `attention` within the window."""
    inside = np.zeros((len(query), len(key)), bool)
    for row in range(len(query)):
        for column in range(len(key)):
            near = abs(column - row - offset) <= half_width
            inside[row, column] = near and (mask is None or mask[row, column])
    return attention(query, key, value, mask=inside, bias=bias, normalizer=normalizer)


def local_predictive_attention(
    params,
    query,
    key,
    value,
    *,
    half_width,
    length=None,
    attention=dot_attention,
    mask=None,
    bias=None,
    normalizer=softmax,
):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    For one query q, with h = tanh(W q), p = S σ(v · h), g_s = exp(-2 (s - p)² / D²) and weights
    a_s = α_s g_s, where α are `attention`'s:

        dα_s = g_s da_s                      dp = Σ_s α_s da_s g_s 4 (s - p) / D²
        du   = dp S σ (1 - σ)    (u = v · h)     dv = du h
        dW   = (du v ∘ (1 - h²)) qᵀ          dq = Wᵀ (du v ∘ (1 - h²)), beside `attention`'s own
    """
    weight, centre_weight = params
    span = len(key) if length is None else int(length)
    inside = np.zeros((len(query), len(key)), bool)
    hidden = np.tanh(query @ weight.T)
    logistic = 1 / (1 + np.exp(-(hidden @ centre_weight)))
    centre = span * logistic
    for row in range(len(query)):
        for column in range(span):
            near = abs(column - centre[row].real) <= half_width
            inside[row, column] = near and (mask is None or mask[row, column])
    (_, align), align_pullback = attention(
        query, key, value, mask=inside, bias=bias, normalizer=normalizer
    )
    distance = np.arange(len(key)) - centre[:, None]
    near = np.where(inside, np.exp(-2 * np.where(inside, distance, 0) ** 2 / half_width**2), 0)
    weights = align * near
    context = np.zeros((len(query), value.shape[1]), weights.dtype)
    for row in range(len(query)):
        context[row] = weights[row, inside[row]] @ value[inside[row]]

    def pullback(cotangent):
        d_context, d_weights = cotangent
        dtype = np.result_type(weights, d_context)
        d_modulated, d_value = np.zeros(weights.shape, dtype), np.zeros(value.shape, dtype)
        for row in range(len(query)):
            keys = inside[row]
            d_modulated[row, keys] = d_weights[row, keys] + value[keys] @ d_context[row]
            d_value[keys] += np.outer(weights[row, keys], d_context[row])
        d_align = d_modulated * near
        d_query, d_key, d_value_of_align, *d_bias = align_pullback(
            (np.zeros_like(context), d_align)
        )
        d_centre = (align * d_modulated * near * 4 * distance / half_width**2).sum(1)
        d_activation = d_centre * span * logistic * (1 - logistic)
        d_hidden_input = np.outer(d_activation, centre_weight) * (1 - hidden**2)
        d_params = type(params)(d_hidden_input.T @ query, d_activation @ hidden)
        gradients = (d_params, d_query + d_hidden_input @ weight, d_key, d_value + d_value_of_align)
        return (*gradients, *d_bias)

    return (context, weights), pullback
