"""A block of a transformer's encoder: Vaswani et al. (2017), arXiv:1706.03762, section 3.1."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Key

from jattn._axes import named_axes
from jattn._options import Size, check_dropout
from jattn._precision import at_least_float32
from jattn.attention.multi_head import multi_head_attention
from jattn.attention.multi_head_params import MultiHeadParams, check_heads, init_multi_head
from jattn.attention.multi_head_parts import Turn
from jattn.layers import LayerNormParams, dropout, init_layer_norm, layer_norm
from jattn.masks.algebra import Mask, as_array
from jattn.transformer.feed_forward import (
    Activation,
    FeedForwardParams,
    feed_forward,
    init_feed_forward,
)
from jattn.transformer.order import Order, pre_norm


class EncoderBlockParams(NamedTuple):
    """Attention and the feed-forward network, each with a norm."""

    attention: MultiHeadParams
    attention_norm: LayerNormParams
    feed_forward: FeedForwardParams
    feed_forward_norm: LayerNormParams


class EncoderBlockOutput(NamedTuple):
    """The features after a block, and each head's weights."""

    outputs: Float[Array, "s d"]
    weights: Float[Array, "h s s"]


@named_axes
def init_encoder_block(
    rng: Key[Array, ""],
    *,
    size: Size,
    heads: Size,
    hidden_size: Size,
    key_value_heads: Size | None = None,
    bias: bool = True,
    dtype: DTypeLike = float,
) -> EncoderBlockParams:
    """Draws weights as `init_multi_head` and `init_feed_forward` do; norms scale by one."""
    attention_rng, feed_forward_rng = jax.random.split(rng)
    attention = init_multi_head(
        attention_rng,
        heads=heads,
        query_size=size,
        key_value_heads=key_value_heads,
        bias=bias,
        dtype=dtype,
    )
    norm = init_layer_norm(size=size, bias=bias, dtype=dtype)
    hidden = init_feed_forward(
        feed_forward_rng, size=size, hidden_size=hidden_size, bias=bias, dtype=dtype
    )
    return EncoderBlockParams(attention, norm, hidden, norm)


@named_axes
@at_least_float32
def encoder_block(
    params: EncoderBlockParams,
    inputs: Float[Array, "s d"],
    *,
    self_mask: Bool[Array, "s s"] | Mask | None = None,
    self_bias: Float[Array, "h s s"] | Float[Array, "s s"] | None = None,
    order: Order = pre_norm,
    turn: Turn | None = None,
    activation: Activation = jax.nn.relu,
    epsilon: float = 1e-5,
    dropout_rate: float = 0.0,
    rng: Key[Array, ""] | None = None,
) -> EncoderBlockOutput:
    """Self-attention, then a feed-forward network, each added to what it read.

        attended = inputs + dropout(attention(norm(inputs)))
        outputs  = attended + dropout(feed_forward(norm(attended)))

    in the order of `pre_norm`; `post_norm` normalizes the sums. A position that reads none and that
    none reads, such as padding under `masks.lengths(length, length)`, may hold anything, gives zero
    and takes no gradient.

    Args:
        self_mask: True where a query may attend to a key, for every head.
        self_bias: added to the scores of all heads or of each, such as `jattn.alibi_bias`.
        order: `jattn.pre_norm` or `jattn.post_norm`.
        turn: turns queries and keys by their positions, as `jattn.rotary` does.
        activation: of the feed-forward network.
        epsilon: of the norms.
        dropout_rate: share that is dropped of what attention and the network add.
        rng: what dropout is drawn from.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, heads do not divide among
            groups, or dropout_rate is not in [0, 1) or comes without rng.
    """
    heads = len(params.attention.query_weight), len(params.attention.key_weight)
    check_heads("encoder_block", *heads)
    check_dropout("encoder_block", "dropout_rate", dropout_rate, rng)
    rngs = (None, None) if rng is None else jax.random.split(rng)
    allowed = as_array(self_mask, len(inputs), len(inputs))
    inputs = only_used(inputs, allowed)

    def attend(rows):
        context, weights = multi_head_attention(
            params.attention, rows, rows, rows, mask=allowed, bias=self_bias, turn=turn
        )
        return dropout(rngs[0], context, dropout_rate), weights

    def transform(rows):
        rows = feed_forward(params.feed_forward, rows, activation=activation)
        return dropout(rngs[1], rows, dropout_rate), None

    norm = partial(layer_norm, epsilon=epsilon)
    attended, weights = order(partial(norm, params.attention_norm), attend, inputs)
    outputs, _ = order(partial(norm, params.feed_forward_norm), transform, attended)
    return EncoderBlockOutput(only_used(outputs, allowed), weights)


def only_used(rows: Float[Array, "s d"], allowed: Bool[Array, "s s"] | None) -> Array:
    """Zero where a position reads none and none reads it."""
    if allowed is None:
        return rows
    return jnp.where((allowed.any(0) | allowed.any(1))[:, None], rows, 0.0)
