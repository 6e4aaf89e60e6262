"""A GRU encoder over source pieces and a GRU decoder over target pieces."""

from typing import Any

from jaxtyping import Array, Int, Key

import jattn
from experiments import seq2seq
from experiments.seq2seq import Params, Start
from experiments.translation.config import Config
from jattn.layers import EmbeddingParams

NARROW = 0.1


def form(config: Config, source: int, target: int) -> seq2seq.Model:
    """Returns the form of a model of so many pieces of the source and of the target."""
    return seq2seq.Model(
        source_words=source,
        target_words=target,
        embedding_size=config.embedding_size,
        units=config.units,
        decoder_units=config.decoder_units,
        score_units=config.score_units,
        attention=config.attention,
        attends_first=config.attention == "additive",
        input_feeding=bool(config.input_feeding),
        half_width=config.half_width,
        dropout=config.dropout,
    )


def init(rng: Key[Array, ""], config: Config, source: int, target: int) -> Params:
    """Draws the weights of a model of so many pieces of the source and of the target."""
    encoder, decoder = seq2seq.init(rng, form(config, source, target))
    return Params(
        encoder._replace(embedding=narrow(encoder.embedding)),
        decoder._replace(embedding=narrow(decoder.embedding)),
    )


def narrow(params: EmbeddingParams) -> EmbeddingParams:
    """Makes rows small: Adam's steps are of one size, and rare pieces take few of them."""
    return EmbeddingParams(params.weight * NARROW)


def decode(
    params: Params,
    source: Int[Array, " s"],
    length: Int[Array, ""],
    inputs: Int[Array, " t"],
    config: Config,
    rng: Key[Array, ""] | None = None,
) -> jattn.DecoderOutput:
    """Computes `seq2seq.decode` of the configuration's model."""
    return seq2seq.decode(params, source, length, inputs, form(config, *_pieces(params)), rng)


def stepping(params: Params, source: Array, length: Array, config: Config, max_steps: int) -> Start:
    """Returns the decoder's first state and its step for a search."""
    return seq2seq.stepping(params, source, length, form(config, *_pieces(params)))


def _pieces(params: Any) -> tuple[int, int]:
    return tuple(len(part.embedding.weight) for part in params)  # type: ignore[return-value]
