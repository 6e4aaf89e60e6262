"""The weights of stacks of blocks, and what draws them."""

from typing import Any, NamedTuple

import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Key

from jattn._axes import named_axes
from jattn._options import Count, Size
from jattn.layers import LayerNormParams, init_layer_norm
from jattn.transformer.decoder_params import DecoderBlockParams, init_decoder_block
from jattn.transformer.encoder_block import EncoderBlockParams, init_encoder_block


class TransformerEncoderParams(NamedTuple):
    """The blocks, the first one first, and a norm after the last, or none."""

    blocks: tuple[EncoderBlockParams, ...]
    norm: LayerNormParams | None = None


class TransformerDecoderParams(NamedTuple):
    """The blocks, the first one first, and a norm after the last, or none."""

    blocks: tuple[DecoderBlockParams, ...]
    norm: LayerNormParams | None = None


@named_axes
def init_transformer_encoder(
    rng: Key[Array, ""],
    *,
    layers: Count,
    size: Size,
    heads: Size,
    hidden_size: Size,
    key_value_heads: Size | None = None,
    bias: bool = True,
    ends_with_norm: bool = True,
    dtype: DTypeLike = float,
) -> TransformerEncoderParams:
    """Draws `layers` blocks; `pre_norm` wants a norm after the last one, `post_norm` has it."""
    sizes: dict[str, Any] = {"size": size, "heads": heads, "hidden_size": hidden_size}
    sizes |= {"key_value_heads": key_value_heads, "bias": bias, "dtype": dtype}
    blocks = tuple(init_encoder_block(one, **sizes) for one in jax.random.split(rng, layers))
    norm = init_layer_norm(size=size, bias=bias, dtype=dtype) if ends_with_norm else None
    return TransformerEncoderParams(blocks, norm)


@named_axes
def init_transformer_decoder(
    rng: Key[Array, ""],
    *,
    layers: Count,
    size: Size,
    heads: Size,
    hidden_size: Size,
    key_value_heads: Size | None = None,
    bias: bool = True,
    ends_with_norm: bool = True,
    dtype: DTypeLike = float,
) -> TransformerDecoderParams:
    """Draws `layers` blocks; `pre_norm` wants a norm after the last one, `post_norm` has it."""
    sizes: dict[str, Any] = {"size": size, "heads": heads, "hidden_size": hidden_size}
    sizes |= {"key_value_heads": key_value_heads, "bias": bias, "dtype": dtype}
    blocks = tuple(init_decoder_block(one, **sizes) for one in jax.random.split(rng, layers))
    norm = init_layer_norm(size=size, bias=bias, dtype=dtype) if ends_with_norm else None
    return TransformerDecoderParams(blocks, norm)
