"""Blocks one after the other: Vaswani et al. (2017), arXiv:1706.03762, section 3.1."""

from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Bool, Float, Key

from jattn._axes import named_arguments
from jattn._precision import at_least_float32
from jattn.attention.attend import MaskLike
from jattn.attention.multi_head_parts import Turn
from jattn.layers import LayerNormParams, layer_norm
from jattn.masks.algebra import Mask, as_array
from jattn.transformer.decoder_block import PAST, decoder_block
from jattn.transformer.encoder_block import encoder_block, only_used
from jattn.transformer.feed_forward import Activation
from jattn.transformer.order import Order, pre_norm
from jattn.transformer.stack_params import TransformerDecoderParams, TransformerEncoderParams


class TransformerEncoderOutput(NamedTuple):
    """The features of each position, and the weights of each block."""

    outputs: Float[Array, "s d"]
    weights: tuple[Float[Array, "h s s"], ...]


class TransformerDecoderOutput(NamedTuple):
    """The features of each position, and each block's weights on the past and on the memory."""

    outputs: Float[Array, "t d"]
    self_weights: tuple[Float[Array, "h t t"], ...]
    cross_weights: tuple[Float[Array, "h t s"], ...]


@named_arguments
@at_least_float32
def transformer_encoder(
    params: TransformerEncoderParams,
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
) -> TransformerEncoderOutput:
    """`encoder_block` after `encoder_block`, then the norm where there is one.

    Inputs are embedded tokens, with `sinusoidal_positions` added unless `turn` or `self_bias` tells
    positions.
    The arguments, and what is raised, are those of `encoder_block`.
    """
    allowed, weights = as_array(self_mask, len(inputs), len(inputs)), []
    for block, one_rng in zip(params.blocks, _split(rng, len(params.blocks)), strict=True):
        inputs, found = encoder_block(
            block,
            inputs,
            self_mask=allowed,
            self_bias=self_bias,
            order=order,
            turn=turn,
            activation=activation,
            epsilon=epsilon,
            dropout_rate=dropout_rate,
            rng=one_rng,
        )
        weights.append(found)
    outputs = only_used(last_norm(params.norm, inputs, epsilon), allowed)
    return TransformerEncoderOutput(outputs, tuple(weights))


@named_arguments
@at_least_float32
def transformer_decoder(
    params: TransformerDecoderParams,
    inputs: Float[Array, "t d"],
    memory: Float[Array, "s d"],
    *,
    self_mask: Bool[Array, "t t"] | Mask | None = PAST,
    self_bias: Float[Array, "h t t"] | Float[Array, "t t"] | None = None,
    memory_mask: MaskLike = None,
    order: Order = pre_norm,
    turn: Turn | None = None,
    activation: Activation = jax.nn.relu,
    epsilon: float = 1e-5,
    dropout_rate: float = 0.0,
    rng: Key[Array, ""] | None = None,
) -> TransformerDecoderOutput:
    """`decoder_block` after `decoder_block`, all with the same memory, then the norm if any.

    The arguments, and what is raised, are those of `decoder_block`. `transformer_step` gives the
    same a position at a time.
    """
    weights = []
    for block, one_rng in zip(params.blocks, _split(rng, len(params.blocks)), strict=True):
        inputs, *found = decoder_block(
            block,
            inputs,
            memory,
            self_mask=self_mask,
            self_bias=self_bias,
            memory_mask=memory_mask,
            order=order,
            turn=turn,
            activation=activation,
            epsilon=epsilon,
            dropout_rate=dropout_rate,
            rng=one_rng,
        )
        weights.append(found)
    to_past, to_memory = (tuple(one[kind] for one in weights) for kind in (0, 1))
    return TransformerDecoderOutput(last_norm(params.norm, inputs, epsilon), to_past, to_memory)


def last_norm(params: LayerNormParams | None, inputs: Array, epsilon: float) -> Array:
    return inputs if params is None else layer_norm(params, inputs, epsilon=epsilon)


def _split(rng: Key[Array, ""] | None, count: int) -> Any:
    return [None] * count if rng is None else jax.random.split(rng, count)
