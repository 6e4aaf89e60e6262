"""Parallel co-attention of places and words: Lu et al. (2016), arXiv:1606.00061, section 3.3."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
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

        affinity[t, s] = tanh(words[t] · affinity image[s])
        image_hidden   = tanh(image_weight image + affinityᵀ (words_weight words))
        words_hidden   = tanh(words_weight words + affinity (image_weight image))

    Weights are a softmax of each hidden layer's scores. The paper names them C, H^v and H^q
    (equations 3 and 4), and has places and words as columns.

    Args:
        mask: True for the words that are there.
    """
    words = jnp.where(mask[:, None], words, 0.0)
    # The first product is of one side alone, so where many images share words it is computed once.
    of_affinity = jnp.einsum("tq,qv->tv", words, params.affinity)
    affinity = jnp.tanh(jnp.einsum("tv,sv->ts", of_affinity, image))
    of_image = jnp.einsum("kv,sv->sk", params.image, image)
    of_words = jnp.einsum("kq,tq->tk", params.words, words)
    image_hidden = jnp.tanh(of_image + jnp.einsum("ts,tk->sk", affinity, of_words))
    words_hidden = jnp.tanh(of_words + jnp.einsum("ts,sk->tk", affinity, of_image))
    image_weights = jattn.softmax((image_hidden @ params.image_score)[None], None)[0]
    words_weights = jattn.softmax((words_hidden @ params.words_score)[None], mask[None])[0]
    return CoAttended(image_weights @ image, words_weights @ words, image_weights, words_weights)
