"""Mean states of texts by the encoder, and guesses of their groups by the head."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jattn
from experiments.attends import ATTENDS
from experiments.fine_tuning.sentences import data
from experiments.fine_tuning.sentences.config import Config
from experiments.fine_tuning.sentences.encoder import EncoderParams, attend, encode
from experiments.fine_tuning.sentences.methods import Params

AT_ONCE = 64  # Texts in a batch outside of training.


@partial(jax.jit, static_argnames="attend_by")
def encoded(
    encoder: EncoderParams, batch: dict[str, Any], *, attend_by: str = "dense"
) -> jax.Array:
    heads = partial(attend, by=ATTENDS[attend_by][0])
    return jax.vmap(partial(encode, encoder, attend=heads))(batch["tokens"], batch["tokens_length"])


def pooled(encoder: EncoderParams, texts: data.Texts, config: Config) -> np.ndarray:
    """Returns the encoder's mean state of each text."""
    batches = data.batches(texts, config, min(AT_ONCE, len(texts.tokens)))
    states = np.zeros((len(texts.tokens), encoder.words.weight.shape[1]), np.float32)
    for step in range(batches.steps_per_epoch):
        batch = batches(step)
        index = batch.pop("index")
        states[index[index >= 0]] = np.asarray(encoded(encoder, batch, attend_by=config.attend))[
            index >= 0
        ]
    return states


def guesses(params: Params, texts: data.Texts, config: Config) -> np.ndarray:
    logits = jattn.affine(params.head, jnp.asarray(pooled(params.encoder, texts, config)))
    return np.asarray(logits.argmax(-1))
