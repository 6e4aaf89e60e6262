"""An encoder's block in NumPy, with its gradient derived by hand."""

from functools import partial

import numpy as np

from jattn.oracle.attention.multi_head import multi_head_attention
from jattn.oracle.layers.norms import layer_norm
from jattn.oracle.transformer.feed_forward import feed_forward
from jattn.oracle.transformer.order import pre_norm


def encoder_block(
    params,
    inputs,
    *,
    self_mask=None,
    self_bias=None,
    self_sinks=None,
    scale=None,
    logits_soft_cap=None,
    order=pre_norm,
    turn=None,
    query_offset=0,
    norm=layer_norm,
    feed_forward=feed_forward,
    dropout_rate=0.0,
    attention_dropout_rate=0.0,
    rng=None,
    attend=None,
):
    """Returns ((outputs, weights), pullback), as `jax.vjp` does, without dropout.

    Two layers, each added to its input: the gradient goes back through the second and then the
    first. Attention reads its rows three times, so that dx = dquery + dkey + dvalue. Positions that
    attend to none and that none attends to are zero from the first step on, and so is their
    gradient. After the gradients of params and inputs come those of self_bias, self_sinks and
    scale, where they are arrays.
    """
    check_no_dropout(dropout_rate, attention_dropout_rate, rng)
    mask = np.ones((len(inputs), len(inputs)), bool) if self_mask is None else self_mask
    used = used_positions(mask, self_bias)
    options = {"scale": scale, "logits_soft_cap": logits_soft_cap, "sinks": self_sinks}
    options |= {"mask": mask, "bias": self_bias, "turn": shifted(turn, query_offset)}

    def attend_to_rows(rows):
        return attend_to_self(params.attention, rows, options)

    def transform(rows):
        return transformed(feed_forward, params.feed_forward, rows)

    first = order(partial(norm, params.attention_norm), attend_to_rows, only(used, inputs))
    (attended, weights), first_pullback = first
    second = order(partial(norm, params.feed_forward_norm), transform, attended)
    (outputs, _), second_pullback = second

    def pullback(cotangent):
        d_outputs, d_weights = cotangent
        d_attended, d_second_norm, d_feed_forward = second_pullback((only(used, d_outputs), None))
        d_inputs, d_first_norm, of_attention = first_pullback((d_attended, d_weights))
        d_attention, d_options = of_attention
        gradients = (d_attention, d_first_norm, d_feed_forward, d_second_norm)
        arrays = {"bias": self_bias, "scale": scale, "sinks": self_sinks}
        d = by_name(arrays, d_options)
        named = [d[name] for name in ("bias", "sinks", "scale") if name in d]
        return type(params)(*gradients), only(used, d_inputs), *named

    return (only(used, outputs), weights), pullback


def check_no_dropout(*options):
    """Raises NotImplementedError for dropout, which has no oracle."""
    if any(option is not None and option != 0.0 for option in options):
        raise NotImplementedError("the oracles of blocks have no dropout")


def used_positions(mask, bias):
    """True where a position attends to one or is attended to, in some head."""
    allowed = np.array(mask)
    if bias is not None:
        finite = bias.real != -np.inf
        allowed = allowed & (finite if bias.ndim == 2 else np.logical_or.reduce(finite))
    return allowed.any(0) | allowed.any(1)


def only(used, rows):
    """The rows of used positions, and zeros elsewhere."""
    kept = np.zeros_like(rows)
    kept[used] = rows[used]
    return kept


def shifted(turn, offset):
    """The turn of a sequence whose first position is `offset`."""
    return None if turn is None else lambda rows, positions: turn(rows, positions + offset)


def by_name(options, gradients):
    """The gradients of the options that are arrays, by name."""
    arrays = [name for name, option in options.items() if hasattr(option, "dtype")]
    return dict(zip(arrays, gradients, strict=True))


def attend_to_self(params, rows, options):
    """Self-attention as a layer: the gradient of its rows, then those of params and options."""
    attended, attention_pullback = multi_head_attention(params, rows, rows, rows, **options)

    def pullback(cotangent):
        d_params, d_query, d_key, d_value, *d_options = attention_pullback(cotangent)
        return d_query + d_key + d_value, (d_params, d_options)  # type: ignore[operator]

    return attended, pullback


def transformed(network, params, rows):
    """The feed-forward network as a layer of a block, without a result besides its rows."""
    outputs, network_pullback = network(params, rows)

    def pullback(cotangent):
        d_params, d_rows = network_pullback(cotangent[0])
        return d_rows, d_params

    return (outputs, None), pullback
