"""A decoder's block in NumPy, with its gradient derived by hand."""

from functools import partial

import numpy as np

from jattn.oracle.attention.multi_head import multi_head_attention
from jattn.oracle.layers.norms import layer_norm
from jattn.oracle.transformer.encoder_block import (
    attend_to_self,
    by_name,
    check_no_dropout,
    only,
    shifted,
    transformed,
    used_positions,
)
from jattn.oracle.transformer.feed_forward import feed_forward
from jattn.oracle.transformer.order import pre_norm


def decoder_block(
    params,
    inputs,
    memory,
    *,
    self_mask=None,
    self_bias=None,
    self_sinks=None,
    memory_mask=None,
    memory_bias=None,
    memory_sinks=None,
    scale=None,
    logits_soft_cap=None,
    order=pre_norm,
    turn=None,
    memory_turn=None,
    query_offset=0,
    norm=layer_norm,
    feed_forward=feed_forward,
    dropout_rate=0.0,
    attention_dropout_rate=0.0,
    rng=None,
    attend=None,
):
    """Returns ((outputs, self_weights, cross_weights), pullback), as `jax.vjp` does.

    Three layers, each added to its input. Attention reads the memory as key and as value, so that
    dmemory = dkey + dvalue. The scale belongs to both kinds of attention, so its gradients add up.
    If left out, self_mask is the past. There is no dropout. Positions that attend to none and that
    none attends to are zero from the first step on, and read nothing of the memory. After the
    gradients of params, inputs and memory come those of self_bias, self_sinks, memory_bias,
    memory_sinks and scale, where they are arrays.
    """
    check_no_dropout(dropout_rate, attention_dropout_rate, rng)
    t, s = len(inputs), len(memory)
    past = np.tri(t, dtype=bool) if self_mask is None else self_mask
    used = used_positions(past, self_bias)
    visible = np.ones((t, s), bool) if memory_mask is None else np.array(memory_mask)
    visible[~used] = False
    shared = {"scale": scale, "logits_soft_cap": logits_soft_cap}
    of_self = {"bias": self_bias, "sinks": self_sinks, **shared}
    of_memory = {"bias": memory_bias, "sinks": memory_sinks, **shared}

    def attend_to_past(rows):
        options = {"mask": past, "turn": shifted(turn, query_offset), **of_self}
        return attend_to_self(params.self_attention, rows, options)

    def attend_to_memory(rows):
        options: dict = {"mask": visible, "turn": memory_turn, "query_offset": query_offset}
        options |= of_memory
        attended, attention_pullback = multi_head_attention(
            params.cross_attention, rows, memory, memory, **options
        )

        def pullback(cotangent):
            d_params, d_query, d_key, d_value, *d_options = attention_pullback(cotangent)
            return d_query, (d_params, d_key + d_value, d_options)  # type: ignore[operator]

        return attended, pullback

    def transform(rows):
        return transformed(feed_forward, params.feed_forward, rows)

    first = order(partial(norm, params.self_norm), attend_to_past, only(used, inputs))
    (attended, self_weights), first_pullback = first
    second = order(partial(norm, params.cross_norm), attend_to_memory, attended)
    (read, cross_weights), second_pullback = second
    third = order(partial(norm, params.feed_forward_norm), transform, read)
    (outputs, _), third_pullback = third

    def pullback(cotangent):
        d_outputs, d_self_weights, d_cross_weights = cotangent
        d_read, d_third_norm, d_feed_forward = third_pullback((only(used, d_outputs), None))
        d_attended, d_second_norm, results = second_pullback((d_read, d_cross_weights))
        d_cross, d_memory, d_memory_options = results
        d_inputs, d_first_norm, results = first_pullback((d_attended, d_self_weights))
        d_self, d_self_options = results
        gradients = (d_self, d_first_norm, d_cross, d_second_norm, d_feed_forward, d_third_norm)
        names = ("bias", "scale", "sinks")
        d_of_self = by_name({name: of_self[name] for name in names}, d_self_options)
        d_of_memory = by_name({name: of_memory[name] for name in names}, d_memory_options)
        options = [
            d[name] for d in (d_of_self, d_of_memory) for name in ("bias", "sinks") if name in d
        ]
        if "scale" in d_of_self:
            options.append(d_of_self["scale"] + d_of_memory["scale"])
        return type(params)(*gradients), only(used, d_inputs), d_memory, *options

    return (only(used, outputs), self_weights, cross_weights), pullback
