"""An encoder of embedding and recurrent layers, and a tagger with self-attention on top of it."""

from typing import Any, NamedTuple

import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, Key

from jattn._axes import named_axes
from jattn._options import Count, Size
from jattn._precision import at_least_float32
from jattn.attention.additive import AdditiveParams, additive_attention, init_additive
from jattn.layers import (
    AffineParams,
    EmbeddingParams,
    affine,
    embedding,
    init_affine,
    init_embedding,
)
from jattn.recurrent.cells import Cell, InitCell, gru_cell, init_gru
from jattn.recurrent.outputs import output_of
from jattn.recurrent.padding import valid_steps, zero_padding
from jattn.recurrent.reading import Memory
from jattn.recurrent.stacked import init_stacked, stacked
from jattn.recurrent.tokens import valid_tokens


class EncoderParams(NamedTuple):
    """An embedding of the tokens and the layers of a cell on top of it."""

    embedding: EmbeddingParams
    layers: tuple[Any, ...]


class AttentiveGRUParams(NamedTuple):
    """An encoder, the scoring network of self-attention over its states, and the output layer."""

    encoder: EncoderParams
    attention: AdditiveParams
    readout: AffineParams


class AttentiveGRUOutput(NamedTuple):
    """An output for each position, and the weights of the positions that it attended to."""

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
    init_cell: InitCell = init_gru,
    dtype: DTypeLike = float,
) -> EncoderParams:
    """Draws the embedding as `init_embedding` and the layers as `init_stacked` does.

    Args:
        words: size of the vocabulary.
        units: the size of each layer's state, in one direction.
        bidirectional: whether each layer reads in both directions.
        init_cell: draws a layer's parameters: `init_gru`, `init_lstm` or a function like these.

    Raises:
        ValueError: if a size is negative, `layers` is not at least 1, or `dtype` is not a
            floating-point dtype.
    """
    embedding_rng, layers_rng = jax.random.split(rng)
    return EncoderParams(
        init_embedding(embedding_rng, words=words, size=embedding_size, dtype=dtype),
        init_stacked(
            layers_rng,
            init_cell=init_cell,
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
    valid: Bool[Array, " s"] | None = None,
    cell: Cell = gru_cell,
    dropout_rate: float = 0.0,
    recurrent_dropout_rate: float = 0.0,
    rng: Key[Array, ""] | None = None,
) -> Memory:
    """Embeds the tokens and runs the layers over them.

    The memory's values are the outputs of the last layer. Its summary is the output of the final
    state of that layer, forward then backward where it has both. Bahdanau et al. (2015) call the
    values annotations.

    Args:
        length: number of valid tokens, which come first; all tokens by default. Tokens that are
            not valid may be any number.
        valid: True for each valid token, as in `gru`. Excludes `length`.
        cell: any cell, whose parameters the layers are.
        dropout_rate, recurrent_dropout_rate, rng: as in `stacked`.

    Raises:
        ValueError: if a valid token is not a row of the embedding, and as `stacked` does.
    """
    words = len(params.embedding.weight)
    tokens = valid_tokens("encode", tokens, words, length, valid, axis="s")
    outputs, final = stacked(
        cell,
        params.layers,
        embedding(params.embedding, tokens),
        length=length,
        valid=valid,
        dropout_rate=dropout_rate,
        recurrent_dropout_rate=recurrent_dropout_rate,
        rng=rng,
    )
    return Memory(outputs, output_of(final[-1]).reshape(-1), length, valid)


@named_axes
def init_attentive_gru(
    rng: Key[Array, ""],
    *,
    words: Count,
    embedding_size: Count,
    units: Size,
    output_size: Count,
    attention_units: Size | None = None,
    layers: Size = 1,
    bidirectional: bool = False,
    dtype: DTypeLike = float,
) -> AttentiveGRUParams:
    """Draws each part as `init_encoder`, `init_additive` and `init_affine` do.

    Args:
        words: size of the vocabulary.
        units: the size of each layer's state, in one direction.
        output_size: number of outputs for each position, such as the number of tags.
        attention_units: units of the scoring network, `units` by default.
        layers: number of GRU layers.
        bidirectional: whether each layer reads in both directions.

    Raises:
        ValueError: if a size is out of range or `dtype` is not a floating-point dtype.
    """
    encoder_rng, attention_rng, readout_rng = jax.random.split(rng, 3)
    encoder = init_encoder(
        encoder_rng,
        words=words,
        embedding_size=embedding_size,
        units=units,
        layers=layers,
        bidirectional=bidirectional,
        dtype=dtype,
    )
    state_size = units * (2 if bidirectional else 1)
    attention = init_additive(
        attention_rng,
        query_size=state_size,
        key_size=state_size,
        units=units if attention_units is None else attention_units,
        dtype=dtype,
    )
    readout = init_affine(readout_rng, input_size=state_size, output_size=output_size, dtype=dtype)
    return AttentiveGRUParams(encoder, attention, readout)


@named_axes
@at_least_float32
def attentive_gru(
    params: AttentiveGRUParams,
    tokens: Int[Array, " s"],
    *,
    length: int | Int[Array, ""] | None = None,
    valid: Bool[Array, " s"] | None = None,
    cell: Cell = gru_cell,
) -> AttentiveGRUOutput:
    """Encodes tokens, lets each state attend to all states, and projects each context to outputs.

        outputs[s] = readout(additive_attention(states[s], states, states))

    Embedding, GRU, additive attention, linear: the smallest whole model with attention, for
    tagging or predicting each position. Outputs and weights of positions that are not valid are
    zero.

    Args:
        length: number of valid tokens, as in `encode`.
        valid: True for each valid token, as in `gru`. Excludes `length`.
        cell: as in `gru`.

    Raises:
        ValueError: as `encode`, `additive_attention` and `affine` do.
    """
    words = len(params.encoder.embedding.weight)
    tokens = valid_tokens("attentive_gru", tokens, words, length, valid, axis="s")
    states = encode(params.encoder, tokens, length=length, valid=valid, cell=cell).values
    usable = valid_steps(tokens.shape[0], length, valid)
    mask = None if usable is None else usable[:, None] & usable[None]
    context, weights = additive_attention(params.attention, states, states, states, mask=mask)
    outputs = affine(params.readout, context)
    return AttentiveGRUOutput(zero_padding(outputs, length, valid)[0], weights)
