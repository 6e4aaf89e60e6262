"""A GRU encoder over letters and a GRU decoder over phones that attends to it, or does not."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

import jattn
from experiments.pronunciation.attentions import ATTENTIONS
from experiments.pronunciation.config import Config
from experiments.pronunciation.data import LETTERS, START, STOP
from jattn import training
from jattn.layers import dropout


class Params(NamedTuple):
    """Weights of the encoder and the decoder; the decoder's hold the mechanism's own."""

    encoder: jattn.EncoderParams
    decoder: jattn.LuongDecoderParams


def init(rng: Key[Array, ""], config: Config, phones: int) -> Params:
    """Draws the weights of a model of `phones` phones."""
    encoder_rng, decoder_rng, attention_rng = jax.random.split(rng, 3)
    encoder = jattn.init_encoder(
        encoder_rng,
        words=len(LETTERS),
        embedding_size=config.embedding_size,
        units=config.units,
        layers=config.layers,
        bidirectional=True,
    )
    decoder = jattn.init_luong_decoder(
        decoder_rng,
        words=phones + 2,
        embedding_size=config.embedding_size,
        units=config.decoder_units,
        value_size=2 * config.units,
        summary_size=2 * config.units,
        attention=ATTENTIONS[config.attention].init(attention_rng, config),
    )
    return Params(encoder, decoder)


def loss(
    params: Params, batch: Mapping[str, Array | np.ndarray], rng: Key[Array, ""], *, config: Config
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Cross entropy of each phone given the ones before it, and how many are guessed right."""
    phones, lengths = batch["phones"], batch["phones_length"] + 1
    start, end = jnp.full_like(phones[:, :1], START), jnp.full_like(phones[:, :1], STOP)
    before = jnp.concatenate([start, phones], axis=1)
    labels = jnp.concatenate([phones, end], axis=1)

    def logits(letters, length, before, rng):
        encoder_rng, memory_rng, decoder_rng = jax.random.split(rng, 3)
        memory = jattn.encode(
            params.encoder, letters, length=length, dropout_rate=config.dropout, rng=encoder_rng
        )
        values = dropout(memory_rng, memory.values, config.dropout)
        return jattn.luong_decode(
            params.decoder,
            memory._replace(values=values),
            before,
            attention=ATTENTIONS[config.attention].attention,
            dropout_rate=config.dropout,
            rng=decoder_rng,
        ).logits

    scores = jax.vmap(logits)(
        batch["letters"], batch["letters_length"], before, jax.random.split(rng, len(phones))
    )
    mask = training.length_mask(lengths * (batch["letters_length"] > 0), labels.shape[1])
    entropy = training.token_cross_entropy(
        scores, labels, mask, label_smoothing=config.label_smoothing
    )
    return entropy, {"accuracy": training.token_accuracy(scores, labels, mask)}


@partial(jax.jit, static_argnames=("config", "max_steps"))
def pronounce(
    params: Params,
    letters: Int[Array, "b s"],
    lengths: Int[Array, " b"],
    *,
    config: Config,
    max_steps: int,
) -> Any:
    """The likeliest phones of each word: tokens `[b m]`, their lengths, and weights `[b m s]`."""

    def one(letters, length):
        memory = jattn.encode(params.encoder, letters, length=length)
        read = ATTENTIONS[config.attention].attention(params.decoder.attention, memory)

        def step(state, token):
            logits, state = jattn.luong_step(params.decoder, state, token, read)
            return jax.nn.log_softmax(logits), state

        found = jattn.beam_search(
            step,
            jattn.luong_start(params.decoder, memory, read),
            start=START,
            stop=STOP,
            max_steps=max_steps,
            beam_size=config.beam_size,
            length_penalty=1.0 if config.beam_size > 1 else 0.0,
            collect=lambda state: state.weights,
        )
        return found.tokens[0], found.lengths[0], found.collected[0]

    return jax.vmap(one)(letters, lengths)
