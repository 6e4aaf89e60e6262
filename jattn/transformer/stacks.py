"""Stacks of blocks: Vaswani et al. (2017), arXiv:1706.03762, section 3.1."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Bool, Float, Key

from jattn._axes import named_axes
from jattn._options import Positive, check_dropout
from jattn._precision import at_least_float32
from jattn.attention.attend import MaskLike
from jattn.attention.multi_head_parts import Attend, Turn
from jattn.layers import layer_norm
from jattn.masks.algebra import Mask
from jattn.masks.visible import only
from jattn.positions.offsets import Offset
from jattn.transformer.decoder_block import PAST, decoder_block
from jattn.transformer.decoder_params import DecoderBlockParams
from jattn.transformer.encoder_block import EncoderBlockParams, encoder_block
from jattn.transformer.feed_forward import feed_forward
from jattn.transformer.order import Order, pre_norm
from jattn.transformer.stack_params import (
    TransformerDecoderParams,
    TransformerEncoderParams,
    check_blocks,
    check_sinks,
)
from jattn.transformer.sublayers import RowMap, normalized, used_positions


class TransformerEncoderOutput(NamedTuple):
    """The features of each position, and the weights of each block, or None for each."""

    outputs: Float[Array, "s d"]
    weights: tuple[Float[Array, "h s s"] | None, ...]


class TransformerDecoderOutput(NamedTuple):
    """The features of each position, and each block's weights on past and memory, or None."""

    outputs: Float[Array, "t d"]
    self_weights: tuple[Float[Array, "h t t"] | None, ...]
    cross_weights: tuple[Float[Array, "h t s"] | None, ...]


@named_axes
@at_least_float32
def transformer_encoder(
    params: TransformerEncoderParams,
    inputs: Float[Array, "s d"],
    *,
    self_mask: Bool[Array, "s s"] | Mask | None = None,
    self_bias: Float[Array, "h s s"] | Float[Array, "s s"] | None = None,
    self_sinks: Float[Array, "l h"] | None = None,
    scale: Float[Array, ""] | float | None = None,
    logits_soft_cap: Positive | None = None,
    order: Order = pre_norm,
    turn: Turn | None = None,
    query_offset: Offset = 0,
    norm: RowMap = layer_norm,
    feed_forward: RowMap = feed_forward,
    dropout_rate: float = 0.0,
    attention_dropout_rate: float = 0.0,
    rng: Key[Array, ""] | None = None,
    attend: Attend | None = None,
) -> TransformerEncoderOutput:
    """Applies one `encoder_block` after another, then the norm where there is one.

    Inputs are embedded tokens, with `sinusoidal_positions` added unless `turn` or `self_bias`
    encodes positions. Padding is as in `encoder_block`: a position that attends to none and that
    none attends to may hold any value.

    Args:
        inputs: [s d], features of each position.
        self_mask: True where a position may attend to another, for every block and head.
        self_bias: added to the scores of every block, of all heads or of each. -inf is the same as
            a mask.
        self_sinks: [l h], for each block and head the score of one more key, whose value is zero.
        scale: factor of the scores; 1 / √e if None.
        logits_soft_cap: the cap c of scores, which become c tanh(scores / c). None: no cap.
        order: `jattn.pre_norm` or `jattn.post_norm`.
        turn: rotates queries and keys by their positions, as `jattn.rotary` does.
        query_offset: the position of the first input, for `turn`.
        norm: as in `encoder_block`, also after the last block.
        feed_forward: as in `encoder_block`.
        dropout_rate: share that is dropped of the results of attention and of the networks.
        attention_dropout_rate: share of the attention weights that is dropped.
        rng: the key of both kinds of dropout, split among the blocks.
        attend: as in `multi_head_attention`, for every block.

    Returns:
        The features [s d], and for each block the weights [h s s] before dropout.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, heads do not divide among
            groups, scale or logits_soft_cap is not finite, or a dropout rate is not in
            [0, 1) or is above 0 without rng.
    """
    check_blocks("transformer_encoder", params.blocks, EncoderBlockParams)
    check_sinks("transformer_encoder", params.blocks, self_sinks=self_sinks)
    check_dropout("transformer_encoder", "dropout_rate", dropout_rate, rng)
    check_dropout("transformer_encoder", "attention_dropout_rate", attention_dropout_rate, rng)
    used, weights = used_positions(self_mask, self_bias, inputs.shape[0]), []
    for index, (block, block_rng) in enumerate(_with_rngs(params.blocks, rng)):
        inputs, weights_of_block = encoder_block(
            block,
            inputs,
            self_mask=self_mask,
            self_bias=self_bias,
            self_sinks=None if self_sinks is None else self_sinks[index],
            scale=scale,
            logits_soft_cap=logits_soft_cap,
            order=order,
            turn=turn,
            query_offset=query_offset,
            norm=norm,
            feed_forward=feed_forward,
            dropout_rate=dropout_rate,
            attention_dropout_rate=attention_dropout_rate,
            rng=block_rng,
            attend=attend,
        )
        weights.append(weights_of_block)
    inputs = only(used, inputs)
    outputs = only(used, normalized(norm, params.norm, inputs))
    return TransformerEncoderOutput(outputs, tuple(weights))


@named_axes
@at_least_float32
def transformer_decoder(
    params: TransformerDecoderParams,
    inputs: Float[Array, "t d"],
    memory: Float[Array, "s k"],
    *,
    self_mask: Bool[Array, "t t"] | Mask | None = PAST,
    self_bias: Float[Array, "h t t"] | Float[Array, "t t"] | None = None,
    self_sinks: Float[Array, "l h"] | None = None,
    memory_mask: MaskLike = None,
    memory_bias: Float[Array, "h t s"] | Float[Array, "t s"] | None = None,
    memory_sinks: Float[Array, "l h"] | None = None,
    scale: Float[Array, ""] | float | None = None,
    logits_soft_cap: Positive | None = None,
    order: Order = pre_norm,
    turn: Turn | None = None,
    memory_turn: Turn | None = None,
    query_offset: Offset = 0,
    norm: RowMap = layer_norm,
    feed_forward: RowMap = feed_forward,
    dropout_rate: float = 0.0,
    attention_dropout_rate: float = 0.0,
    rng: Key[Array, ""] | None = None,
    attend: Attend | None = None,
) -> TransformerDecoderOutput:
    """Applies one `decoder_block` after another to one memory, then the norm where there is one.

    `transformer_step` gives the same one position at a time. Padding is as in `decoder_block`: a
    position that attends to no input and that none attends to may hold any value.

    Args:
        inputs: [t d], features of each position.
        memory: [s k], the encoder's outputs.
        self_mask: True where a position may attend to another, for every block: the past by
            default.
        self_bias: added to the scores of self-attention of every block, of all heads or of each.
            -inf is the same as a mask.
        self_sinks: [l h], for each block and head of self-attention the score of one more key,
            whose value is zero.
        memory_mask: True where a position may attend to the memory, such as
            `masks.lengths(length)`.
        memory_bias: added to the scores of cross-attention, of all heads or of each.
        memory_sinks: as `self_sinks`, for cross-attention.
        scale: factor of the scores of both kinds of attention; 1 / √e if None.
        logits_soft_cap: the cap c of the scores of both, which become c tanh(scores / c). None: no
            cap.
        order: `jattn.pre_norm` or `jattn.post_norm`.
        turn: rotates queries and keys of self-attention by their positions, as `jattn.rotary` does.
        memory_turn: rotates queries of cross-attention by their positions, and keys by their own
            positions in the memory.
        query_offset: the position of the first input, for `turn` and `memory_turn`.
        norm: as in `encoder_block`, also after the last block.
        feed_forward: as in `encoder_block`.
        dropout_rate: share that is dropped of the results of attention and of the networks.
        attention_dropout_rate: share of the weights of both kinds of attention that is dropped.
        rng: the key of both kinds of dropout, split among the blocks.
        attend: as in `multi_head_attention`, for every block.

    Returns:
        The features [t d], and for each block the weights of self-attention [h t t] and those of
        cross-attention [h t s], before dropout.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, heads do not divide among
            groups, scale or logits_soft_cap is not finite, or a dropout rate is not in
            [0, 1) or is above 0 without rng.
    """
    check_blocks("transformer_decoder", params.blocks, DecoderBlockParams)
    sinks = {"self_sinks": self_sinks, "memory_sinks": memory_sinks}
    check_sinks("transformer_decoder", params.blocks, **sinks)
    check_dropout("transformer_decoder", "dropout_rate", dropout_rate, rng)
    check_dropout("transformer_decoder", "attention_dropout_rate", attention_dropout_rate, rng)
    used, weights = used_positions(self_mask, self_bias, inputs.shape[0]), []
    for index, (block, block_rng) in enumerate(_with_rngs(params.blocks, rng)):
        inputs, *weights_of_block = decoder_block(
            block,
            inputs,
            memory,
            self_mask=self_mask,
            self_bias=self_bias,
            self_sinks=None if self_sinks is None else self_sinks[index],
            memory_mask=memory_mask,
            memory_bias=memory_bias,
            memory_sinks=None if memory_sinks is None else memory_sinks[index],
            scale=scale,
            logits_soft_cap=logits_soft_cap,
            order=order,
            turn=turn,
            memory_turn=memory_turn,
            query_offset=query_offset,
            norm=norm,
            feed_forward=feed_forward,
            dropout_rate=dropout_rate,
            attention_dropout_rate=attention_dropout_rate,
            rng=block_rng,
            attend=attend,
        )
        weights.append(weights_of_block)
    inputs = only(used, inputs)
    outputs = only(used, normalized(norm, params.norm, inputs))
    self_weights, cross_weights = (tuple(pair[kind] for pair in weights) for kind in (0, 1))
    return TransformerDecoderOutput(outputs, self_weights, cross_weights)


def _with_rngs(blocks: tuple[Any, ...], rng: Key[Array, ""] | None) -> Iterator[tuple[Any, Any]]:
    """Yields each block with a key of its own, or with None."""
    rngs = [None] * len(blocks) if rng is None else jax.random.split(rng, len(blocks))
    return zip(blocks, rngs, strict=True)
