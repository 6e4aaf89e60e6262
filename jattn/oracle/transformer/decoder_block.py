"""A decoder's block in NumPy, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.attention.multi_head import multi_head_attention
from jattn.oracle.transformer.encoder_block import attend_to_own, norm_of, transformed, undropped
from jattn.oracle.transformer.feed_forward import relu
from jattn.oracle.transformer.order import pre_norm


def decoder_block(
    params,
    inputs,
    memory,
    *,
    self_mask=None,
    self_bias=None,
    memory_mask=None,
    order=pre_norm,
    turn=None,
    activation=relu,
    epsilon=1e-5,
    dropout_rate=0.0,
    rng=None,
):
    """Returns ((outputs, self_weights, cross_weights), pullback), as `jax.vjp` does.

    Three layers, each added to what it read. Attention reads the memory as key and as value, so
    that dmemory = dkey + dvalue. Left out, self_mask is the past; there is no dropout.
    """
    undropped(dropout_rate, rng)
    past = np.tri(len(inputs), dtype=bool) if self_mask is None else self_mask

    def attend_to_past(rows):
        return attend_to_own(params.self_attention, rows, past, self_bias, turn)

    def attend_to_memory(rows):
        found, attention_pullback = multi_head_attention(
            params.cross_attention, rows, memory, memory, mask=memory_mask
        )

        def pullback(cotangent):
            d_params, d_query, d_key, d_value = attention_pullback(cotangent)
            return d_query, (d_params, d_key + d_value)

        return found, pullback

    def transform(rows):
        return transformed(params.feed_forward, rows, activation)

    first = order(norm_of(params.self_norm, epsilon), attend_to_past, inputs)
    (attended, self_weights), first_pullback = first
    second = order(norm_of(params.cross_norm, epsilon), attend_to_memory, attended)
    (read, cross_weights), second_pullback = second
    third = order(norm_of(params.feed_forward_norm, epsilon), transform, read)
    (outputs, _), third_pullback = third

    def pullback(cotangent):
        d_outputs, d_self_weights, d_cross_weights = cotangent
        d_read, d_third_norm, d_feed_forward = third_pullback((d_outputs, None))
        d_attended, d_second_norm, of_memory = second_pullback((d_read, d_cross_weights))
        d_cross, d_memory = of_memory
        d_inputs, d_first_norm, of_self = first_pullback((d_attended, d_self_weights))
        d_self, *d_bias = of_self
        gradients = (d_self, d_first_norm, d_cross, d_second_norm, d_feed_forward, d_third_norm)
        return type(params)(*gradients), d_inputs, d_memory, *d_bias

    return (outputs, self_weights, cross_weights), pullback
