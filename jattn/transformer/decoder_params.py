"""The weights of a transformer decoder's block, and what draws them."""

from typing import NamedTuple

import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Key

from jattn._axes import named_axes
from jattn._options import Size
from jattn.attention.multi_head_params import MultiHeadParams, init_multi_head
from jattn.layers import LayerNormParams, init_layer_norm
from jattn.transformer.feed_forward import FeedForwardParams, init_feed_forward


class DecoderBlockParams(NamedTuple):
    """Attention to what was written, to the memory, and the feed-forward network, with norms.

    Both kinds of attention have the same heads, and the memory has as many features as the decoder.
    """

    self_attention: MultiHeadParams
    self_norm: LayerNormParams
    cross_attention: MultiHeadParams
    cross_norm: LayerNormParams
    feed_forward: FeedForwardParams
    feed_forward_norm: LayerNormParams


@named_axes
def init_decoder_block(
    rng: Key[Array, ""],
    *,
    size: Size,
    heads: Size,
    hidden_size: Size,
    key_value_heads: Size | None = None,
    bias: bool = True,
    dtype: DTypeLike = float,
) -> DecoderBlockParams:
    """Draws weights as `init_multi_head` and `init_feed_forward` do; norms scale by one."""
    self_rng, cross_rng, feed_forward_rng = jax.random.split(rng, 3)
    attention = [
        init_multi_head(
            one,
            heads=heads,
            query_size=size,
            key_value_heads=key_value_heads,
            bias=bias,
            dtype=dtype,
        )
        for one in (self_rng, cross_rng)
    ]
    norm = init_layer_norm(size=size, bias=bias, dtype=dtype)
    hidden = init_feed_forward(
        feed_forward_rng, size=size, hidden_size=hidden_size, bias=bias, dtype=dtype
    )
    return DecoderBlockParams(attention[0], norm, attention[1], norm, hidden, norm)
