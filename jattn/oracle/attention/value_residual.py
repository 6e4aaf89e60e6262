"""Value residuals in NumPy, with their gradient derived by hand."""

import numpy as np

from jattn.oracle.attention import heads
from jattn.oracle.normalizers import softmax


def value_residual_attention(
    params,
    query,
    key,
    value,
    first_values,
    *,
    mask=None,
    bias=None,
    scale=None,
    turn=None,
    query_offset=0,
    normalizer=softmax,
):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    With the values V = a F + b W x of a head, of the first layer's F and its own:

        da = Σ dV · F        db = Σ dV · W x        dF = a dV        d(W x) = b dV
    """
    of, (first_share, own_share) = params
    sizes = len(of.query_weight), len(query), len(key)
    kept, biases, rows, columns = heads.pairs_of_heads(mask, bias, *sizes)
    flat, of_query = heads.to_heads(of.query_weight, of.query_bias, query, rows)
    queries, unturn_queries = heads.turned(turn, flat, query_offset)
    flat, of_key = heads.to_heads(of.key_weight, of.key_bias, key, columns)
    keys, unturn_keys = heads.turned(turn, flat, 0)
    own, of_value = heads.to_heads(of.value_weight, of.value_bias, value, columns)
    values = (own_share * own).astype(np.result_type(own, params.shares, first_values))
    for column in columns:
        values[:, column] += first_share * first_values[column]
    (contexts, weights), of_heads = heads.attend_in_heads(
        queries, keys, values, kept, biases, scale, normalizer
    )
    output, of_join = heads.join(of.output_weight, of.output_bias, contexts, rows)

    def pullback(cotangent):
        *from_output, d_contexts = of_join(cotangent[0])
        d_queries, d_keys, d_values, d_scores, d_scale = of_heads((d_contexts, cotangent[1]))
        d_first, d_shares = np.zeros(first_values.shape, d_values.dtype), [0, 0]
        for column in columns:
            d_first[column] = first_share * d_values[:, column]
            d_shares[0] += (first_values[column] * d_values[:, column]).sum()
            d_shares[1] += (own[:, column] * d_values[:, column]).sum()
        from_query = of_query(unturn_queries(d_queries))
        from_key, from_value = of_key(unturn_keys(d_keys)), of_value(own_share * d_values)
        d_of = heads.of_projections(of, from_query, from_key, from_value, from_output)
        d_params = type(params)(d_of, np.array(d_shares, d_values.dtype))
        d_inputs = (from_query[2], from_key[2], from_value[2], d_first)
        return (d_params, *d_inputs, *heads.drawn(bias, d_scores, (scale, d_scale)))

    return (output, weights), pullback
