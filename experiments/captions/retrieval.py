"""Canvases found by their captions: co-attention scores pairs, and a contrastive loss trains it."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

import jattn
from experiments import coattention
from experiments.captions.config import Config
from experiments.captions.grid import grid, init_grid
from experiments.captions.words import in_one_language, word_count
from experiments.coattention import CoAttended, CoAttentionParams
from experiments.contrastive import both_ways
from jattn.layers import AffineParams, affine, dropout, init_affine

AT_ONCE = 50  # Captions that are compared with all canvases at once.


class Params(NamedTuple):
    """Weights of the grid's layer, of the words' encoder, of co-attention and of a pair's score."""

    grid: AffineParams
    text: jattn.EncoderParams
    attention: CoAttentionParams
    image: AffineParams
    words: AffineParams


def init(rng: Key[Array, ""], config: Config) -> Params:
    """Draws the weights."""
    rngs = jax.random.split(rng, 5)
    size = config.features
    text = jattn.init_encoder(
        rngs[1],
        words=word_count(config.languages),
        embedding_size=size // 2,
        units=size // 2,
        bidirectional=True,
    )
    attention = coattention.init(
        rngs[2], image_size=size, words_size=size, units=config.score_units
    )
    return Params(
        init_grid(rngs[0], config.channels[-1], size),
        text,
        attention,
        init_affine(rngs[3], input_size=size, output_size=size),
        init_affine(rngs[4], input_size=size, output_size=size),
    )


def pair(
    params: Params, rows: Float[Array, "s v"], words: Float[Array, "t q"], length: Int[Array, ""]
) -> tuple[Float[Array, ""], CoAttended]:
    """Returns the score of a canvas and a caption, and what each attended to."""
    mask = jnp.arange(len(words), dtype=length.dtype) < length
    found = coattention.co_attention(params.attention, rows, words, mask)
    score = affine(params.image, found.image) @ affine(params.words, found.words)
    return score, found


def scores(
    params: Params,
    rows: Float[Array, "n s v"],
    tokens: Int[Array, "m t"],
    lengths: Int[Array, " m"],
) -> Float[Array, "m n"]:
    """Returns the score of each caption with each canvas."""
    read = lambda tokens, length: jattn.encode(params.text, tokens, length=length).values
    words = jax.vmap(read)(tokens, lengths)
    score = lambda rows, words, length: pair(params, rows, words, length)[0]
    with_all = jax.vmap(score, (0, None, None))
    return jax.vmap(with_all, (None, 0, 0))(rows, words, lengths)


def loss(
    params: Params, batch: Mapping[str, Any], rng: Key[Array, ""], *, config: Config
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Returns how badly each caption finds its canvas in the batch, and each canvas its caption.

    The caption of a canvas is in a language that is drawn. Another canvas of the same scene is no
    wrong answer, and does not count.
    """
    dropout_rng, language_rng = jax.random.split(rng)
    rows = dropout(dropout_rng, _described(params, batch["seen"]), config.dropout)
    tokens, lengths = in_one_language(language_rng, batch["tokens"], batch["lengths"])
    count = len(tokens)
    first = batch["tokens"][:, 0]
    is_other = (first[:, None] == first[None]).all(-1) & ~jnp.eye(count, dtype=bool)
    logits = scores(params, rows, tokens[:, 1:], lengths - 1)
    logits = jnp.where(is_other, -jnp.inf, logits)
    return both_ways(logits), {"found": (logits.argmax(1) == jnp.arange(count)).mean()}


@jax.jit
def _described(params: Params, seen: Array) -> Array:
    return jax.vmap(partial(grid, params.grid))(seen)


_scored = jax.jit(scores)


def ranks(params: Params, seen: np.ndarray, tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Returns the rank of each caption's own canvas among all, 1 for the first."""
    rows = _described(params, seen)
    found = []
    for first in range(0, len(seen), AT_ONCE):
        own = np.arange(first, min(first + AT_ONCE, len(seen)))
        each = np.asarray(_scored(params, rows, tokens[own, 1:], lengths[own] - 1))
        found.append(1 + (each > each[np.arange(len(own)), own][:, None]).sum(1))
    return np.concatenate(found)


@jax.jit
def attended(params: Params, seen: Array, tokens: Array, length: Array) -> CoAttended:
    """Returns what a canvas and a caption attend to."""
    rows = grid(params.grid, seen)
    words = jattn.encode(params.text, tokens, length=length).values
    return pair(params, rows, words, length)[1]
