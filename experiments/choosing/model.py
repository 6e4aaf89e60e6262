"""A GRU encoder and a GRU decoder around a mechanism; nothing but the mechanism differs."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

import jattn
from experiments.choosing.config import Config
from experiments.choosing.examples import SOURCE_WORDS, TARGET_WORDS, WIDTHS, Examples
from experiments.choosing.mechanisms import MECHANISMS
from experiments.choosing.tasks import START, STOP
from jattn import training


class Params(NamedTuple):
    """Weights of the encoder and the decoder; the decoder's hold the mechanism's own."""

    encoder: jattn.EncoderParams
    decoder: jattn.LuongDecoderParams


class Share(NamedTuple):
    """Of tokens right given those before them, and of targets right from start to stop."""

    tokens: Float[Array, ""]
    sequences: Float[Array, ""]


def init(rng: Key[Array, ""], mechanism: str, config: Config) -> Params:
    """Draws the weights; those outside of the mechanism do not depend on it."""
    encoder_rng, decoder_rng, attention_rng = jax.random.split(rng, 3)
    encoder = jattn.init_encoder(
        encoder_rng,
        words=SOURCE_WORDS,
        embedding_size=config.embedding_size,
        units=config.units,
        dtype=jnp.float32,
    )
    decoder = jattn.init_luong_decoder(
        decoder_rng,
        words=TARGET_WORDS,
        embedding_size=config.embedding_size,
        units=config.units,
        value_size=config.units,
        summary_size=config.units,
        attention=MECHANISMS[mechanism].init(attention_rng, config, WIDTHS[0]),
        dtype=jnp.float32,
    )
    return Params(encoder, decoder)


def logits(
    params: Params, examples: Examples, mechanism: str, config: Config
) -> tuple[Float[Array, "b t w"], Int[Array, "b t"], Bool[Array, "b t"]]:
    """Scores of each next token given the ones before it, that token, and whether it counts."""
    attention = MECHANISMS[mechanism].attention(config)
    edge = jnp.full_like(examples.target[:, :1], START)
    before = jnp.concatenate([edge, examples.target], axis=1)
    labels = jnp.concatenate([examples.target, jnp.full_like(edge, STOP)], axis=1)

    def one(source, length, before):
        memory = jattn.encode(params.encoder, source, length=length)
        return jattn.luong_decode(params.decoder, memory, before, attention=attention).logits

    scores = jax.vmap(one)(examples.source, examples.source_length, before)
    # Past its end a target is zeros, and zero is what stops.
    return scores, labels, training.length_mask(examples.target_length + 1, labels.shape[1])


def loss(params: Params, examples: Examples, mechanism: str, config: Config) -> Float[Array, ""]:
    """Cross entropy of each token given the ones before it."""
    return training.token_cross_entropy(*logits(params, examples, mechanism, config))


def right(params: Params, examples: Examples, mechanism: str, config: Config) -> Share:
    """How much is right.

    A target each of whose tokens is the likeliest after the right ones before it is what greedy
    search writes, and no other is: nothing has to be written token by token to know.
    """
    scores, labels, counts = logits(params, examples, mechanism, config)
    hits = jnp.argmax(scores, axis=-1).astype(labels.dtype) == labels
    tokens = training.token_accuracy(scores, labels, counts)
    return Share(tokens, jnp.mean((hits | ~counts).all(axis=1).astype(tokens.dtype)))
