"""Parameters of a block of a transformer's decoder, and the function that draws them."""

from typing import NamedTuple

import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Key

from jattn._axes import named_axes
from jattn._options import Size
from jattn.attention.multi_head_params import MultiHeadParams, init_multi_head
from jattn.transformer.feed_forward import FeedForwardParams, init_feed_forward
from jattn.transformer.sublayers import NormParams, init_norm


class DecoderBlockParams(NamedTuple):
    """Parameters of self-attention, cross-attention and the feed-forward network, with norms."""

    self_attention: MultiHeadParams
    self_norm: NormParams
    cross_attention: MultiHeadParams
    cross_norm: NormParams
    feed_forward: FeedForwardParams
    feed_forward_norm: NormParams


@named_axes
def init_decoder_block(
    rng: Key[Array, ""],
    *,
    size: Size,
    heads: Size,
    hidden_size: Size,
    key_value_heads: Size | None = None,
    bias: bool = True,
    rms_norm: bool = False,
    dtype: DTypeLike = float,
) -> DecoderBlockParams:
    """Draws the parameters of a block as `init_multi_head` and `init_feed_forward` do.

    Both kinds of attention have the same numbers of heads, and the memory has `size` features.

    Args:
        size: number of features d.
        heads: number of query heads.
        hidden_size: number of hidden units of the feed-forward network.
        key_value_heads: number of key-value heads; `heads` if None.
        bias: whether attention, network and norms have biases, which start at zero.
        rms_norm: whether norms are `jattn.rms_norm`, which has no bias, or `jattn.layer_norm`.
        dtype: of the parameters, floating-point.

    Raises:
        ValueError: if a size is below 1, heads exceeds size, or heads do not divide among
            key-value heads.
    """
    self_rng, cross_rng, feed_forward_rng = jax.random.split(rng, 3)
    self_attention, cross_attention = (
        init_multi_head(
            attention_rng,
            heads=heads,
            query_size=size,
            key_value_heads=key_value_heads,
            bias=bias,
            dtype=dtype,
        )
        for attention_rng in (self_rng, cross_rng)
    )
    norm = init_norm(rms=rms_norm, size=size, bias=bias, dtype=dtype)
    hidden = init_feed_forward(
        feed_forward_rng, size=size, hidden_size=hidden_size, bias=bias, dtype=dtype
    )
    return DecoderBlockParams(self_attention, norm, cross_attention, norm, hidden, norm)
