"""Parameters of a block of a transformer's decoder, and the function that draws them."""

from typing import NamedTuple

import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Key

from jattn._axes import named_axes
from jattn._options import Size
from jattn.attention.multi_head_params import MultiHeadParams, init_multi_head
from jattn.transformer.sublayers import (
    InitFeedForward,
    InitNorm,
    NetworkParams,
    NormParams,
    initializers,
)


class DecoderBlockParams(NamedTuple):
    """Parameters of self-attention, cross-attention and the feed-forward network, with norms."""

    self_attention: MultiHeadParams
    self_norm: NormParams
    cross_attention: MultiHeadParams
    cross_norm: NormParams
    feed_forward: NetworkParams
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
    init_norm: InitNorm | None = None,
    init_feed_forward: InitFeedForward | None = None,
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
        init_norm: draws parameters of `norm` from size and dtype, as `init_rms_norm` does;
            `init_layer_norm` if None.
        init_feed_forward: draws parameters of `feed_forward` from a key, size, hidden_size and
            dtype, as `init_gated_feed_forward` does; `jattn.init_feed_forward` if None.
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
    init_norm, init_feed_forward = initializers(init_norm, init_feed_forward, bias)
    norm = init_norm(size=size, dtype=dtype)
    hidden = init_feed_forward(feed_forward_rng, size=size, hidden_size=hidden_size, dtype=dtype)
    return DecoderBlockParams(self_attention, norm, cross_attention, norm, hidden, norm)
