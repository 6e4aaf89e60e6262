"""Query-key normalization in NumPy, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.attention import heads
from jattn.oracle.normalizers import softmax


def query_key_norm_attention(
    params,
    query,
    key,
    value,
    *,
    mask=None,
    bias=None,
    turn=None,
    query_offset=0,
    normalizer=softmax,
):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    A vector x of a head becomes y = γ ∘ u with u = x / |x|, so that with du = γ ∘ dy:

        dγ = Σ dy ∘ u        dx = (du - (u · du) u) / |x|

    The strength is the factor of the products. A vector of zeros is left as it is.
    """
    of, strength, query_scale, key_scale = params
    sizes = len(of.query_weight), len(query), len(key)
    kept, biases, rows, columns = heads.pairs_of_heads(mask, bias, *sizes)
    raw, of_query = heads.to_heads(of.query_weight, of.query_bias, query, rows)
    normal, unscale_queries = scaled_units(raw, query_scale)
    queries, unturn_queries = heads.turned(turn, normal, query_offset)
    raw, of_key = heads.to_heads(of.key_weight, of.key_bias, key, columns)
    normal, unscale_keys = scaled_units(raw, key_scale)
    keys, unturn_keys = heads.turned(turn, normal, 0)
    values, of_value = heads.to_heads(of.value_weight, of.value_bias, value, columns)
    (contexts, weights), of_heads = heads.attend_in_heads(
        queries, keys, values, kept, biases, strength, normalizer
    )
    output, of_join = heads.join(of.output_weight, of.output_bias, contexts, rows)

    def pullback(cotangent):
        *from_output, d_contexts = of_join(cotangent[0])
        d_queries, d_keys, d_values, d_scores, d_strength = of_heads((d_contexts, cotangent[1]))
        d_raw, d_query_scale = unscale_queries(unturn_queries(d_queries))
        from_query = of_query(d_raw)
        d_raw, d_key_scale = unscale_keys(unturn_keys(d_keys))
        from_key, from_value = of_key(d_raw), of_value(d_values)
        d_of = heads.of_projections(of, from_query, from_key, from_value, from_output)
        d_params = type(params)(d_of, d_strength, d_query_scale, d_key_scale)
        d_inputs = (from_query[2], from_key[2], from_value[2])
        return (d_params, *d_inputs, *heads.drawn(bias, d_scores))

    return (output, weights), pullback


def scaled_units(vectors, scale):
    """Returns (γ ∘ x / |x| of every vector x, pullback); the pullback gives dx and dγ."""
    factors = np.ones(vectors.shape[-1]) if scale is None else scale
    places = list(np.ndindex(vectors.shape[:2]))
    units, lengths = np.zeros_like(vectors), {}
    for place in places:
        size = np.abs(vectors[place].real).max(initial=0.0)
        if size > 0:
            small = vectors[place] / size
            root = np.sqrt(small @ small)
            units[place], lengths[place] = small / root, size * root

    def pullback(d_outputs):
        kind = np.result_type(vectors, factors, d_outputs)
        d_vectors, d_scale = np.zeros(vectors.shape, kind), np.zeros(factors.shape, kind)
        for place in places:
            d_unit = factors * d_outputs[place]
            d_scale += d_outputs[place] * units[place]
            across = d_unit - (units[place] @ d_unit) * units[place]
            d_vectors[place] = across / lengths[place] if place in lengths else d_unit
        return d_vectors, None if scale is None else d_scale

    return factors * units, pullback
