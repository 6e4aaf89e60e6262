"""Tokens to states: an encoder of embedding and GRU layers, and self-attention on top of it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from jattn._axes import named_axes
from jattn._options import Count, Size, check_length
from jattn._precision import at_least_float32
from jattn.attention.additive import AdditiveParams, additive_attention
from jattn.layers import EmbeddingParams, LinearParams, embedding, init_embedding, linear
from jattn.masks import lengths
from jattn.recurrent.cells import Cell, gru_cell
from jattn.recurrent.reading import Memory
from jattn.recurrent.stacked import Layer, init_stacked_gru, stacked_gru
from jattn.recurrent.unroll import zero_padding


class EncoderParams(NamedTuple):
    """An embedding of the tokens and GRU layers on top of it."""

    embedding: EmbeddingParams
    layers: tuple[Layer, ...]


class AttentiveGRUParams(NamedTuple):
    """An encoder, the scores with which its states attend to each other, and the output layer."""

    encoder: EncoderParams
    attention: AdditiveParams
    readout: LinearParams


class AttentiveGRUOutput(NamedTuple):
    """What each position says, and which positions it looked at."""

    outputs: Float[Array, "s o"]
    weights: Float[Array, "s s"]


@named_axes
def init_encoder(
    rng: Key[Array, ""],
    *,
    words: Count,
    embedding_size: Count,
    units: Count,
    layers: Size = 1,
    bidirectional: bool = False,
    dtype: DTypeLike = float,
) -> EncoderParams:
    """Draws the embedding as `init_embedding` and the layers as `init_stacked_gru` does."""
    embedding_rng, layers_rng = jax.random.split(rng)
    return EncoderParams(
        init_embedding(embedding_rng, words=words, size=embedding_size, dtype=dtype),
        init_stacked_gru(
            layers_rng,
            input_size=embedding_size,
            units=units,
            layers=layers,
            bidirectional=bidirectional,
            dtype=dtype,
        ),
    )


@named_axes
@at_least_float32
def encode(
    params: EncoderParams,
    tokens: Int[Array, " s"],
    *,
    length: int | Int[Array, ""] | None = None,
    cell: Cell = gru_cell,
    dropout_rate: float = 0.0,
    recurrent_dropout_rate: float = 0.0,
    rng: Key[Array, ""] | None = None,
) -> Memory:
    """Embeds the tokens and runs the GRU layers over them.

    The memory's values are the outputs of the last layer; its summary is that layer's final state,
    forward then backward where it has both. Bahdanau et al. (2015) call the values annotations.

    Args:
        length: number of valid tokens, all of them by default; tokens past it may be any number.
        cell, dropout_rate, recurrent_dropout_rate, rng: as in `stacked_gru`.

    Raises:
        ValueError: as `embedding` and `stacked_gru` do.
    """
    check_length("encode: length", length, len(tokens), "s")
    if length is not None:
        valid = jnp.arange(len(tokens)) < jnp.asarray(length).astype(int)
        tokens = jnp.where(valid, tokens, 0)
    outputs, final = stacked_gru(
        params.layers,
        embedding(params.embedding, tokens),
        length=length,
        cell=cell,
        dropout_rate=dropout_rate,
        recurrent_dropout_rate=recurrent_dropout_rate,
        rng=rng,
    )
    return Memory(outputs, final[-1].reshape(-1), length)


@named_axes
@at_least_float32
def attentive_gru(
    params: AttentiveGRUParams,
    tokens: Int[Array, " s"],
    *,
    length: int | Int[Array, ""] | None = None,
    cell: Cell = gru_cell,
) -> AttentiveGRUOutput:
    """Encodes tokens, lets every state attend to all of them, and reads an output off each context.

        outputs[s] = readout(additive_attention(states[s], states, states))

    Embedding, GRU, additive attention, linear: the smallest whole model with attention, for
    tagging or predicting each position. Outputs and weights past `length` are zero.

    Raises:
        ValueError: as `encode`, `additive_attention` and `linear` do.
    """
    states = encode(params.encoder, tokens, length=length, cell=cell).values
    mask = None if length is None else lengths(length, length)
    context, weights = additive_attention(params.attention, states, states, states, mask=mask)
    outputs = linear(params.readout, context)
    return AttentiveGRUOutput(zero_padding(outputs, length)[0], weights)
