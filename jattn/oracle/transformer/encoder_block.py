"""An encoder's block in NumPy, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.attention.multi_head import multi_head_attention
from jattn.oracle.layers.norms import layer_norm
from jattn.oracle.transformer.feed_forward import feed_forward, relu
from jattn.oracle.transformer.order import pre_norm


def encoder_block(
    params,
    inputs,
    *,
    self_mask=None,
    self_bias=None,
    order=pre_norm,
    turn=None,
    activation=relu,
    epsilon=1e-5,
    dropout_rate=0.0,
    rng=None,
):
    """Returns ((outputs, weights), pullback), as `jax.vjp` does, without dropout.

    Two layers, each added to what it read: the gradient goes back through the second and then the
    first. Attention reads its rows three times, so that dx = dquery + dkey + dvalue. Positions that
    read none and that none reads are zero from the first step on, and so is their gradient.
    """
    undropped(dropout_rate, rng)
    mask = np.ones((len(inputs), len(inputs)), bool) if self_mask is None else self_mask
    used = np.ones(len(inputs), bool) if self_mask is None else mask.any(0) | mask.any(1)

    def only_used(rows):
        return np.where(np.expand_dims(used, 1), rows, 0.0)

    def attend(rows):
        return attend_to_own(params.attention, rows, mask, self_bias, turn)

    def transform(rows):
        return transformed(params.feed_forward, rows, activation)

    first = order(norm_of(params.attention_norm, epsilon), attend, only_used(inputs))
    (attended, weights), first_pullback = first
    second = order(norm_of(params.feed_forward_norm, epsilon), transform, attended)
    (outputs, _), second_pullback = second

    def pullback(cotangent):
        d_outputs, d_weights = cotangent
        d_attended, d_second_norm, d_feed_forward = second_pullback((only_used(d_outputs), None))
        d_inputs, d_first_norm, of_attention = first_pullback((d_attended, d_weights))
        d_attention, *d_bias = of_attention
        gradients = (d_attention, d_first_norm, d_feed_forward, d_second_norm)
        return type(params)(*gradients), only_used(d_inputs), *d_bias

    return (only_used(outputs), weights), pullback


def undropped(dropout_rate, rng):
    """Chance has no oracle."""
    if dropout_rate or rng is not None:
        raise NotImplementedError("the oracles of blocks have no dropout")


def norm_of(params, epsilon):
    return lambda rows: layer_norm(params, rows, epsilon=epsilon)


def attend_to_own(params, rows, mask, bias, turn):
    """Self-attention as a layer of a block."""
    found, attention_pullback = multi_head_attention(
        params, rows, rows, rows, mask=mask, bias=bias, turn=turn
    )

    def pullback(cotangent):
        d_params, d_query, d_key, d_value, *d_bias = attention_pullback(cotangent)
        return d_query + d_key + d_value, (d_params, *d_bias)

    return found, pullback


def transformed(params, rows, activation):
    """The feed-forward network as a layer of a block: it finds nothing beside."""
    outputs, network_pullback = feed_forward(params, rows, activation=activation)

    def pullback(cotangent):
        d_params, d_rows = network_pullback(cotangent[0])
        return d_rows, d_params

    return (outputs, None), pullback
