"""Parallel co-attention of places and words: Lu et al. (2016), arXiv:1606.00061, section 3.3."""

from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Bool, Float, Key

import jattn


class CoAttentionParams(NamedTuple):
    """Weights of `k` units; the paper names them W_b, W_v, W_q, w_hv and w_hq."""

    affinity: Float[Array, "q v"]
    image: Float[Array, "k v"]
    words: Float[Array, "k q"]
    image_score: Float[Array, " k"]
    words_score: Float[Array, " k"]


class CoAttended(NamedTuple):
    """The weighted mean of the places and of the words, and the weights of both."""

    image: Float[Array, " v"]
    words: Float[Array, " q"]
    image_weights: Float[Array, " s"]
    words_weights: Float[Array, " t"]


def init(
    rng: Key[Array, ""], *, image_size: int, words_size: int, units: int, dtype: Any = float
) -> CoAttentionParams:
    """Draws each weight from a normal with variance 1 / fan-in."""
    shapes = (
        *((words_size, image_size), (units, image_size), (units, words_size)),
        *((units,), (units,)),
    )
    return CoAttentionParams(
        *(
            jax.random.normal(each, shape, dtype) * shape[-1] ** -0.5
            for each, shape in zip(jax.random.split(rng, 5), shapes, strict=True)
        )
    )


def co_attention(
    params: CoAttentionParams,
    image: Float[Array, "s v"],
    words: Float[Array, "t q"],
    mask: Bool[Array, " t"],
) -> CoAttended:
    """Attends to places and to words, each with the help of the other.

    It is `jattn.parallel_co_attention` with words as queries and places as keys.

    Args:
        mask: True for the words that are there.
    """
    both = jattn.CoAttentionParams(
        params.affinity, params.words, params.image, params.words_score, params.image_score
    )
    found = jattn.parallel_co_attention(both, words, image, query_valid=mask)
    return CoAttended(
        found.key_context, found.query_context, found.key_weights, found.query_weights
    )
