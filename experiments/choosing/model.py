"""A small encoder and decoder around a mechanism; nothing except the mechanism differs."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from experiments import seq2seq
from experiments.choosing.config import Config
from experiments.choosing.examples import SOURCE_WORDS, TARGET_WORDS, WIDTHS, Examples
from experiments.choosing.tasks import START, STOP
from experiments.seq2seq import Params, Targets
from jattn import training


class Share(NamedTuple):
    """Shares of tokens right given those before them, and of targets right from start to stop."""

    tokens: Float[Array, ""]
    sequences: Float[Array, ""]


def form(mechanism: str, config: Config) -> seq2seq.Model:
    """Returns the form of the model with this mechanism.

    Local attention has the scores of scaled dot products, from which only its window differs.
    """
    return seq2seq.Model(
        source_words=SOURCE_WORDS,
        target_words=TARGET_WORDS,
        embedding_size=config.embedding_size,
        units=config.units,
        decoder_units=config.units,
        score_units=config.score_units,
        attention=mechanism,
        bidirectional=False,
        positions=WIDTHS[0],
        heads=config.heads,
        half_width=config.half_width,
        local_scores="scaled-dot-product",
    )


def init(rng: Key[Array, ""], mechanism: str, config: Config) -> Params:
    """Draws the weights; those outside of the mechanism do not depend on it."""
    return seq2seq.init(rng, form(mechanism, config), jnp.float32)


def logits(
    params: Params, examples: Examples, mechanism: str, config: Config
) -> tuple[Float[Array, "b t w"], Targets]:
    """Returns scores of each next token given the ones before it, and the right tokens."""
    model = form(mechanism, config)
    wanted = seq2seq.targets(
        examples.target, examples.target_length, examples.source_length, start=START, stop=STOP
    )

    def decode(source, length, inputs):
        return seq2seq.decode(params, source, length, inputs, model).logits

    return jax.vmap(decode)(examples.source, examples.source_length, wanted.inputs), wanted


def loss(params: Params, examples: Examples, mechanism: str, config: Config) -> Float[Array, ""]:
    """Returns the cross entropy of each token given the ones before it."""
    scores, (_, labels, mask) = logits(params, examples, mechanism, config)
    return training.token_cross_entropy(scores, labels, mask)


def right(params: Params, examples: Examples, mechanism: str, config: Config) -> Share:
    """Returns the shares that are right.

    If every token is the likeliest after the right ones before it, greedy search writes exactly
    that target. So nothing has to be written token by token.
    """
    scores, (_, labels, mask) = logits(params, examples, mechanism, config)
    hits = jnp.argmax(scores, axis=-1).astype(labels.dtype) == labels
    tokens = training.token_accuracy(scores, labels, mask)
    return Share(tokens, jnp.mean((hits | ~mask).all(axis=1).astype(tokens.dtype)))
