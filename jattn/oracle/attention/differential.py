"""Differential attention in NumPy, one vector at a time, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.attention import heads
from jattn.oracle.normalizers import softmax


def differential_attention(
    params,
    query,
    key,
    value,
    *,
    initial=0.8,
    mask=None,
    bias=None,
    scale=None,
    turn=None,
    query_offset=0,
    normalizer=softmax,
    epsilon=1e-5,
):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    With c = c_1 - λ c_2 of a head, r = √(mean(c²) + ε) and n = (1 - i) γ ∘ c / r, where i is the
    initial balance and λ = exp(a_1 · b_1) - exp(a_2 · b_2) + i:

        dγ = Σ (1 - i) dn ∘ c / r        dc = ((1 - i) γ ∘ dn - c mean((1 - i) γ ∘ dn ∘ c) / r²) / r
        dc_1 = dc        dc_2 = -λ dc        dλ = -Σ dc · c_2 - Σ dweights · weights_2
        da_j = ±dλ exp(a_j · b_j) b_j        di = dλ - Σ dn ∘ γ ∘ c / r
    """
    count, rows_and_keys = params.query_weight.shape[1], (len(query), len(key))
    kept, biases, rows, columns = heads.pairs_of_heads(mask, bias, count, *rows_and_keys)
    values, of_value = heads.to_heads(params.value_weight, None, value, columns)
    maps, projections = [], []
    for own in range(2):
        flat, of_query = heads.to_heads(params.query_weight[own], None, query, rows)
        queries, unturn_queries = heads.turned(turn, flat, query_offset)
        flat, of_key = heads.to_heads(params.key_weight[own], None, key, columns)
        keys, unturn_keys = heads.turned(turn, flat, 0)
        maps.append(heads.attend_in_heads(queries, keys, values, kept, biases, scale, normalizer))
        projections.append((of_query, unturn_queries, of_key, unturn_keys))
    powers = [np.exp(params.query_balance[own] @ params.key_balance[own]) for own in range(2)]
    balance = powers[0] - powers[1] + initial
    ((first, first_weights), _), ((second, second_weights), _) = maps
    weights = first_weights - balance * second_weights
    contexts = first - balance * second
    size = max(contexts.shape[2], 1)
    dtype = np.result_type(contexts, params.norm_scale)
    normal, roots = np.zeros(contexts.shape, dtype), np.ones(contexts.shape[:2], dtype)
    for place in np.ndindex(contexts.shape[:2]):
        roots[place] = np.sqrt(contexts[place] @ contexts[place] / size + epsilon)
        normal[place] = params.norm_scale * contexts[place] / roots[place]
    output, of_join = heads.join(params.output_weight, None, (1 - initial) * normal, rows)

    def pullback(cotangent):
        d_output_weight, _, d_normal = of_join(cotangent[0])
        d_weights = cotangent[1]
        kind = np.result_type(d_normal, d_weights)
        d_contexts = np.zeros(contexts.shape, kind)
        d_norm = np.zeros(params.norm_scale.shape, kind)
        for place in np.ndindex(contexts.shape[:2]):
            context, root = contexts[place], roots[place]
            d_norm += (1 - initial) * d_normal[place] * context / root
            d_scaled = (1 - initial) * params.norm_scale * d_normal[place]
            d_contexts[place] = (
                d_scaled - context * (d_scaled @ context) / (size * root**2)
            ) / root
        d_balance = -(d_contexts * second).sum() - (d_weights * second_weights).sum()
        d_initial = d_balance - (d_normal * normal).sum()
        d_params = {"value_weight": 0, "output_weight": d_output_weight, "norm_scale": d_norm}
        names = ("query_weight", "key_weight", "query_balance", "key_balance")
        d_params |= {n: np.zeros(getattr(params, n).shape, kind) for n in names}
        d_inputs, d_scores, d_scale = [0, 0, 0], 0, np.zeros((), kind)
        for own, factor in enumerate((1, -balance)):
            of_query, unturn_queries, of_key, unturn_keys = projections[own]
            d_queries, d_keys, d_values, d_score, d_factor = maps[own][1](
                (factor * d_contexts, factor * d_weights)
            )
            d_params["query_weight"][own], _, d_query = of_query(unturn_queries(d_queries))
            d_params["key_weight"][own], _, d_key = of_key(unturn_keys(d_keys))
            d_value_weight, _, d_value = of_value(d_values)
            d_params["value_weight"] = d_params["value_weight"] + d_value_weight
            parts = (d_query, d_key, d_value)
            d_inputs = [sum(pair) for pair in zip(d_inputs, parts, strict=True)]
            d_scores, d_scale = d_scores + d_score, d_scale + d_factor
            along = (d_balance, -d_balance)[own] * powers[own]
            d_params["query_balance"][own] = along * params.key_balance[own]
            d_params["key_balance"][own] = along * params.query_balance[own]
        gradients = [(d_initial, initial)] if hasattr(initial, "dtype") else []
        of_options = heads.drawn(bias, d_scores, (scale, d_scale))
        of_initial = tuple(gradient for gradient, _ in gradients)
        return (type(params)(**d_params), *d_inputs, *of_initial, *of_options)

    return (output, weights), pullback
