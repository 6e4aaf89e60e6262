"""The model of letters and phones, with the mechanism of the configuration."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Key

from experiments import seq2seq
from experiments.pronunciation.config import Config
from experiments.pronunciation.data import LETTERS, START, STOP
from experiments.seq2seq import Params

LONGEST_WORD = 34  # Letters of the dictionary's longest word.


def form(config: Config, phones: int) -> seq2seq.Model:
    """Returns the form of a model of `phones` phones."""
    return seq2seq.Model(
        source_words=len(LETTERS),
        target_words=phones + 2,
        embedding_size=config.embedding_size,
        units=config.units,
        decoder_units=config.decoder_units,
        score_units=config.score_units,
        attention=config.attention,
        layers=config.layers,
        positions=LONGEST_WORD,
        dropout=config.dropout,
    )


def init(rng: Key[Array, ""], config: Config, phones: int) -> Params:
    """Draws the weights of a model of `phones` phones."""
    return seq2seq.init(rng, form(config, phones))


def loss(
    params: Params, batch: Mapping[str, Array | np.ndarray], rng: Key[Array, ""], *, config: Config
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Returns the cross entropy of each phone given the ones before it, and the accuracy."""
    wanted = seq2seq.targets(
        batch["phones"], batch["phones_length"], batch["letters_length"], start=START, stop=STOP
    )
    model = form(config, _phones(params))

    def logits(letters, length, inputs, rng):
        return seq2seq.decode(params, letters, length, inputs, model, rng).logits

    rngs = jax.random.split(rng, len(wanted.inputs))
    scores = jax.vmap(logits)(batch["letters"], batch["letters_length"], wanted.inputs, rngs)
    return seq2seq.token_loss(scores, wanted, label_smoothing=config.label_smoothing)


@partial(jax.jit, static_argnames=("config", "max_steps"))
def pronounce(
    params: Params,
    letters: Int[Array, "b s"],
    lengths: Int[Array, " b"],
    *,
    config: Config,
    max_steps: int,
) -> Any:
    """Returns the likeliest phones of each word: tokens `[b m]`, lengths, and weights `[b m s]`.

    Of several heads the weights are the mean.
    """
    model = form(config, _phones(params))

    def spoken(letters, length):
        result = seq2seq.search(
            seq2seq.stepping(params, letters, length, model),
            start=START,
            stop=STOP,
            max_steps=max_steps,
            beam_size=config.beam_size,
            collect=lambda state: state.weights,
        )
        weights = result.collected[0]
        if weights.ndim == 3:
            weights = weights.mean(1)
        return result.tokens[0], result.lengths[0], weights

    return jax.vmap(spoken)(letters, lengths)


def _phones(params: Params) -> int:
    return len(params.decoder.embedding.weight) - 2
