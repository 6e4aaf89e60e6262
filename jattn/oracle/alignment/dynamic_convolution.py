"""Dynamic convolution attention in NumPy, one query and one place at a time."""

from typing import Any

import numpy as np

from jattn.oracle.alignment.gaussian_window import without_keys
from jattn.oracle.alignment.in_order import at_keys, in_order
from jattn.oracle.normalizers import softmax


def dynamic_convolution(params, query, value, *, floor=1e-6, mask=None, initial=None):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    For one query with x = tanh(W q + c) and G = D x, after weights a', each filter H gives features
    f_s = Σ_l H_l a'_{s+l-o}, with dH_l = Σ_s df_s a'_{s+l-o} and da'_{s+l-o} += H_l · df_s. With
    h_s = tanh(U f_s + T g_s + b) and e_s = v · h_s + log p_s, where p_s > floor:

        dv = Σ de_s h_s      dz_s = de_s v ∘ (1 - h_s²)      db = Σ dz_s      dp_s = de_s / p_s
        dU = Σ dz_s f_sᵀ     df_s = Uᵀ dz_s                  and T, g alike
        dD = dG xᵀ           dx = Dᵀ dG                      da = dx ∘ (1 - x²), of W and c
    """
    kept = np.ones((len(query), len(value)), bool) if mask is None else np.array(mask)
    size = len(value)
    start = np.eye(1, size)[0] if initial is None else np.where(kept.any(0), initial, 0)

    def weigh(before, row, keys):
        units = np.tanh(params.query_weight @ query[row] + params.query_bias)
        own = params.dynamic_filter @ units
        fixed = params.static_filter
        f, of_f = filtered(fixed, before, keys, fixed.shape[1] // 2)
        g, of_g = filtered(own, before, keys, own.shape[1] // 2)
        p, of_p = filtered(params.prior[None, ::-1], before, keys, len(params.prior) - 1)
        high = p[:, 0].real > floor
        hidden = np.tanh(f @ params.static_weight.T + g @ params.dynamic_weight.T + params.bias)
        e = hidden @ params.score_weight + np.log(np.where(high, p[:, 0], floor))
        (weights,), of_softmax = softmax(e[None], None)

        def back(d_weights, d_after, gradients):
            (d_e,) = of_softmax((d_weights + d_after[keys])[None])[0]
            d_z = np.outer(d_e, params.score_weight) * (1 - hidden**2)
            gradients["score_weight"] += d_e @ hidden
            gradients["bias"] += d_z.sum(0)
            gradients["static_weight"] += d_z.T @ f
            gradients["dynamic_weight"] += d_z.T @ g
            d_fixed, d_before = of_f(d_z @ params.static_weight)
            d_own, d_more = of_g(d_z @ params.dynamic_weight)
            d_p = np.where(high, d_e / np.where(high, p[:, 0], 1), 0)
            d_prior, d_most = of_p(d_p[:, None])
            d_units = np.tensordot(d_own, params.dynamic_filter, 2) * (1 - units**2)
            gradients["static_filter"] += d_fixed
            gradients["prior"] += d_prior[0, ::-1]
            gradients["dynamic_filter"] += np.multiply.outer(d_own, units)
            gradients["query_bias"] += d_units
            gradients["query_weight"] += np.outer(d_units, query[row])
            gradients["query"][row] = d_units @ params.query_weight
            return d_before + d_more + d_most

        return weights, at_keys(weights, keys, size), back

    arrays = params._asdict() | {"query": query}
    output, of_queries = in_order(weigh, start, value, kept, arrays)

    def masked(cotangent):
        d_value, d_start, gradients = of_queries(cotangent)
        return d_value, np.where(kept.any(0), d_start, 0), gradients

    return output, without_keys(masked, params, initial)


def filtered(filters, before, keys, offset) -> Any:
    """Returns (features, back): for each key a row with a number for each filter."""
    features = np.zeros((len(keys), len(filters)), np.result_type(filters, before))
    met = [
        (index, tap, place + tap - offset)
        for index, place in enumerate(keys)
        for tap in range(filters.shape[1])
        if 0 <= place + tap - offset < len(before)
    ]
    for index, tap, source in met:
        features[index] += filters[:, tap] * before[source]

    def back(d_features):
        d_filters = np.zeros(filters.shape, d_features.dtype)
        d_before = np.zeros(len(before), d_features.dtype)
        for index, tap, source in met:
            d_filters[:, tap] += d_features[index] * before[source]
            d_before[source] += filters[:, tap] @ d_features[index]
        return d_filters, d_before

    return features, back
