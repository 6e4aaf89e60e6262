"""Parameters of stacks of blocks, and the functions that draw and check them."""

from typing import Any, NamedTuple

import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn._axes import named_axes
from jattn._options import Count, Size
from jattn.transformer.decoder_params import DecoderBlockParams, init_decoder_block
from jattn.transformer.encoder_block import EncoderBlockParams, init_encoder_block
from jattn.transformer.sublayers import InitFeedForward, InitNorm, NormParams, initializers


class TransformerEncoderParams(NamedTuple):
    """The blocks in the order of their use, and an optional norm after the last."""

    blocks: tuple[EncoderBlockParams, ...]
    norm: NormParams | None = None


class TransformerDecoderParams(NamedTuple):
    """The blocks in the order of their use, and an optional norm after the last."""

    blocks: tuple[DecoderBlockParams, ...]
    norm: NormParams | None = None


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
    init_norm: InitNorm | None = None,
    init_feed_forward: InitFeedForward | None = None,
    ends_with_norm: bool = True,
    dtype: DTypeLike = float,
) -> TransformerEncoderParams:
    """Draws `layers` blocks as `init_encoder_block` does, and a norm.

    Args:
        layers: number of blocks.
        size: number of features d.
        heads: number of query heads of each block.
        hidden_size: number of hidden units of each feed-forward network.
        key_value_heads: number of key-value heads; `heads` if None.
        bias: whether attention, networks and norms have biases, which start at zero.
        init_norm: draws parameters of `norm` from size and dtype, as `init_rms_norm` does;
            `init_layer_norm` if None.
        init_feed_forward: draws parameters of `feed_forward` from a key, size, hidden_size and
            dtype, as `init_gated_feed_forward` does; `jattn.init_feed_forward` if None.
        ends_with_norm: whether a norm follows the last block. Stacks in the order of `pre_norm`
            need it, those of `post_norm` end with a norm already.
        dtype: of the parameters, floating-point.

    Raises:
        ValueError: if a size is below 1, layers is negative, heads exceeds size, or heads do not
            divide among key-value heads.
    """
    sizes: dict[str, Any] = {"size": size, "heads": heads, "hidden_size": hidden_size}
    sizes |= {"key_value_heads": key_value_heads, "bias": bias, "dtype": dtype}
    init_norm, init_feed_forward = initializers(init_norm, init_feed_forward, bias)
    sizes |= {"init_norm": init_norm, "init_feed_forward": init_feed_forward}
    rngs = jax.random.split(rng, layers)
    blocks = tuple(init_encoder_block(block_rng, **sizes) for block_rng in rngs)
    norm = init_norm(size=size, dtype=dtype) if ends_with_norm else None
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
    init_norm: InitNorm | None = None,
    init_feed_forward: InitFeedForward | None = None,
    ends_with_norm: bool = True,
    dtype: DTypeLike = float,
) -> TransformerDecoderParams:
    """Draws `layers` blocks as `init_decoder_block` does, and a norm.

    Args:
        layers: number of blocks.
        size: number of features d.
        heads: number of query heads of each block.
        hidden_size: number of hidden units of each feed-forward network.
        key_value_heads: number of key-value heads; `heads` if None.
        bias: whether attention, networks and norms have biases, which start at zero.
        init_norm: draws parameters of `norm` from size and dtype, as `init_rms_norm` does;
            `init_layer_norm` if None.
        init_feed_forward: draws parameters of `feed_forward` from a key, size, hidden_size and
            dtype, as `init_gated_feed_forward` does; `jattn.init_feed_forward` if None.
        ends_with_norm: whether a norm follows the last block. Stacks in the order of `pre_norm`
            need it, those of `post_norm` end with a norm already.
        dtype: of the parameters, floating-point.

    Raises:
        ValueError: if a size is below 1, layers is negative, heads exceeds size, or heads do not
            divide among key-value heads.
    """
    sizes: dict[str, Any] = {"size": size, "heads": heads, "hidden_size": hidden_size}
    sizes |= {"key_value_heads": key_value_heads, "bias": bias, "dtype": dtype}
    init_norm, init_feed_forward = initializers(init_norm, init_feed_forward, bias)
    sizes |= {"init_norm": init_norm, "init_feed_forward": init_feed_forward}
    rngs = jax.random.split(rng, layers)
    blocks = tuple(init_decoder_block(block_rng, **sizes) for block_rng in rngs)
    norm = init_norm(size=size, dtype=dtype) if ends_with_norm else None
    return TransformerDecoderParams(blocks, norm)


def check_blocks(function: str, blocks: Any, kind: type) -> None:
    """Raises ValueError unless the blocks are parameters of the given kind."""
    for index, block in enumerate(blocks):
        if not isinstance(block, kind):
            given = "None" if block is None else f"a {type(block).__name__}"
            raise ValueError(
                f"{function}: params.blocks[{index}] is {given}, expected {kind.__name__}"
            )


def check_sinks(
    function: str, blocks: tuple[Any, ...], **sinks: Float[Array, "l h"] | None
) -> None:
    """Raises ValueError unless there is a row of sinks for each block."""
    for name, rows in sinks.items():
        if rows is not None and len(rows) != len(blocks):
            raise ValueError(
                f"{function}: {name} has shape {tuple(rows.shape)}, expected (l, h) with"
                f" l={len(blocks)} (from params.blocks)"
            )
