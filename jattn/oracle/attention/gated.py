"""Gated attention in NumPy, with its gradient derived by hand."""

from jattn.oracle.attention import heads
from jattn.oracle.normalizers import softmax


def gated_attention(
    params,
    query,
    key,
    value,
    *,
    mask=None,
    bias=None,
    scale=None,
    turn=None,
    query_offset=0,
    normalizer=softmax,
):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    With the gate g = σ(z), z = G x, of a query's input x and the context c of a head, the output
    is y = Σ_h W_h (g ∘ c), so with do = W_hᵀ dy:

        dc = g ∘ do        dz = c ∘ do ∘ g (1 - g)        dG = dz xᵀ        dx = Gᵀ dz, and c's own
    """
    of, gates = params
    sizes = len(of.query_weight), len(query), len(key)
    kept, biases, rows, columns = heads.pairs_of_heads(mask, bias, *sizes)
    flat, of_query = heads.to_heads(of.query_weight, of.query_bias, query, rows)
    queries, unturn_queries = heads.turned(turn, flat, query_offset)
    flat, of_key = heads.to_heads(of.key_weight, of.key_bias, key, columns)
    keys, unturn_keys = heads.turned(turn, flat, 0)
    values, of_value = heads.to_heads(of.value_weight, of.value_bias, value, columns)
    by_feature = gates if gates.ndim == 3 else gates[:, None]
    logits, of_gate = heads.to_heads(by_feature, None, query, rows)
    gate = heads.logistic(logits)
    (contexts, weights), of_heads = heads.attend_in_heads(
        queries, keys, values, kept, biases, scale, normalizer
    )
    output, of_join = heads.join(of.output_weight, of.output_bias, gate * contexts, rows)

    def pullback(cotangent):
        d_output, d_weights = cotangent
        *from_output, d_gated = of_join(d_output)
        d_queries, d_keys, d_values, d_scores, d_scale = of_heads((gate * d_gated, d_weights))
        d_logits = contexts * d_gated * gate * (1 - gate)
        d_gates, _, d_gate_input = of_gate(
            d_logits if gates.ndim == 3 else d_logits.sum(2, keepdims=True)
        )
        from_query = of_query(unturn_queries(d_queries))
        from_key, from_value = of_key(unturn_keys(d_keys)), of_value(d_values)
        d_of = heads.of_projections(of, from_query, from_key, from_value, from_output)
        d_params = type(params)(d_of, d_gates.reshape(gates.shape))
        d_inputs = (from_query[2] + d_gate_input, from_key[2], from_value[2])
        return (d_params, *d_inputs, *heads.drawn(bias, d_scores, (scale, d_scale)))

    return (output, weights), pullback
