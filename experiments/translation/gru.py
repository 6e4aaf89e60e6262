"""A GRU encoder over source pieces; a GRU decoder over target ones that attends to it, or not."""

from functools import partial
from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Int, Key

import jattn
from experiments.translation.attentions import ATTENTIONS
from experiments.translation.config import Config
from jattn.layers import EmbeddingParams, dropout

NARROW = 0.1


class Params(NamedTuple):
    """Weights of the encoder and the decoder; the decoder's hold the mechanism's own."""

    encoder: jattn.EncoderParams
    decoder: jattn.BahdanauDecoderParams | jattn.LuongDecoderParams


def init(rng: Key[Array, ""], config: Config, source: int, target: int) -> Params:
    """Draws the weights of a model of so many pieces of the source and of the target."""
    encoder_rng, decoder_rng, attention_rng = jax.random.split(rng, 3)
    choice = ATTENTIONS[config.attention]
    encoder = jattn.init_encoder(
        encoder_rng,
        words=source,
        embedding_size=config.embedding_size,
        units=config.units,
        bidirectional=True,
    )
    sizes: dict[str, Any] = {
        "words": target,
        "embedding_size": config.embedding_size,
        "units": config.decoder_units,
        "value_size": 2 * config.units,
        "summary_size": 2 * config.units,
        "attention": choice.init(attention_rng, config),
    }
    if choice.is_before_step:
        decoder: Any = jattn.init_bahdanau_decoder(decoder_rng, **sizes)
    else:
        feeding = bool(config.input_feeding)
        decoder = jattn.init_luong_decoder(decoder_rng, input_feeding=feeding, **sizes)
    return Params(
        encoder._replace(embedding=narrow(encoder.embedding)),
        decoder._replace(embedding=narrow(decoder.embedding)),
    )


def narrow(params: EmbeddingParams) -> EmbeddingParams:
    """Rows near zero: Adam's steps are of one size, and rare pieces take few of them."""
    return EmbeddingParams(params.weight * NARROW)


def decode(
    params: Params,
    source: Int[Array, " s"],
    length: Int[Array, ""],
    before: Int[Array, " t"],
    config: Config,
    rng: Key[Array, ""] | None = None,
) -> jattn.DecoderOutput:
    """Scores of the piece after each one of `before`, and the attention that they were made with.

    Row t is of the attention that predicts the piece after `before[t]`: as `before` begins with
    the start, row t belongs to the target's own piece t, in both decoders.

    Args:
        rng: what dropout is drawn from; there is none without.
    """
    rate = config.dropout if rng is not None else 0.0
    rngs = [None] * 3 if rng is None else list(jax.random.split(rng, 3))
    memory = jattn.encode(params.encoder, source, length=length, dropout_rate=rate, rng=rngs[0])
    memory = memory._replace(values=dropout(rngs[1], memory.values, rate))
    choice = ATTENTIONS[config.attention]
    options: dict[str, Any] = {
        "attention": choice.attention(config),
        "dropout_rate": rate,
        "rng": rngs[2],
    }
    if isinstance(params.decoder, jattn.BahdanauDecoderParams):
        return jattn.bahdanau_decode(params.decoder, memory, before, **options)
    feeding = bool(config.input_feeding)
    return jattn.luong_decode(params.decoder, memory, before, input_feeding=feeding, **options)


def stepping(
    params: Params, source: Array, length: Array, config: Config, max_steps: int
) -> tuple[Any, Any]:
    """The decoder's first state, and its step for a search."""
    memory = jattn.encode(params.encoder, source, length=length)
    decoder = params.decoder
    read = ATTENTIONS[config.attention].attention(config)(decoder.attention, memory)
    if isinstance(decoder, jattn.BahdanauDecoderParams):
        start: Any = jattn.bahdanau_start(decoder, memory, read)
        step: Any = partial(jattn.bahdanau_step, decoder)
    else:
        start = jattn.luong_start(decoder, memory, read)
        step = partial(jattn.luong_step, decoder, input_feeding=bool(config.input_feeding))

    def scored(state, token):
        logits, state = step(state, token, read)
        return jax.nn.log_softmax(logits), state

    return start, scored
