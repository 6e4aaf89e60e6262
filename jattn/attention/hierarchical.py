"""Hierarchical attention: Yang et al. (2016), Hierarchical Attention Networks for Document
Classification.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Key

from jattn._axes import named_axes
from jattn._naming import named_value
from jattn._options import Size
from jattn._precision import at_least_float32
from jattn.masks.visible import only
from jattn.normalizers import Normalizer, softmax


class PoolingParams(NamedTuple):
    """A hidden layer of `p` units, and the query that all sequences share."""

    weight: Float[Array, "p k"]
    bias: Float[Array, " p"]
    score_weight: Float[Array, " p"]


class HierarchicalParams(NamedTuple):
    """The pooling of words to sentences, and of sentences to a document."""

    words: PoolingParams
    sentences: PoolingParams


class Pooled(NamedTuple):
    """One vector for a sequence, and the weight of each of its members."""

    context: Float[Array, " v"]
    weights: Float[Array, " s"]


class HierarchicalAttended(NamedTuple):
    """One vector for a document, the weights of its sentences, and of each sentence's words."""

    context: Float[Array, " k"]
    sentence_weights: Float[Array, " c"]
    word_weights: Float[Array, "c s"]


@named_axes
def init_pooling(
    rng: Key[Array, ""], *, key_size: Size, units: Size, dtype: DTypeLike = float
) -> PoolingParams:
    """Draws weights from a normal with variance 1 / fan-in; the bias starts at zero."""
    first, second = jax.random.split(rng)
    weight = jax.random.normal(first, (units, key_size), dtype) * key_size**-0.5
    score_weight = jax.random.normal(second, (units,), dtype) * units**-0.5
    return PoolingParams(weight, jnp.zeros(units, dtype), score_weight)


@named_axes
@at_least_float32
def pooling_attention(
    params: PoolingParams,
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    valid: Bool[Array, " s"] | None = None,
    normalizer: Normalizer = softmax,
) -> Pooled:
    """Reduces a sequence to one vector by attention without a query.

        scores[s] = score_weight · tanh(weight key[s] + bias)
        context   = Σ_s softmax(scores)[s] value[s]

    The paper names score_weight the context vector u_w, and its values are the keys. It is
    `additive_attention` of a query that all sequences share.

    Args:
        valid: True for members that are no padding; a sequence without any gives zeros.
        normalizer: maps a row of scores to a row of weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    key, value = only(valid, key), only(valid, value)
    hidden = jnp.tanh(jnp.einsum("pk,sk->sp", params.weight, key) + params.bias[None])
    scores = jnp.einsum("p,sp->s", params.score_weight, named_value(hidden, "encode/hidden"))
    kept = None if valid is None else jnp.asarray(valid)[None]
    weights = named_value(normalizer(scores[None], kept)[0], "weight/weights")
    return Pooled(named_value(jnp.einsum("s,sv->v", weights, value), "decode/context"), weights)


@named_axes
@at_least_float32
def hierarchical_attention(
    params: HierarchicalParams,
    words: Float[Array, "c s k"],
    *,
    valid: Bool[Array, "c s"] | None = None,
    encode: Callable[[Any], Any] | None = None,
    normalizer: Normalizer = softmax,
) -> HierarchicalAttended:
    """Pools the words of each sentence, and then the sentences of a document.

        sentences[c] = pooling_attention(params.words, words[c], words[c])
        context      = pooling_attention(params.sentences, encode(sentences), encode(sentences))

    Args:
        words: [c s k], s encoded words in each of c sentences.
        valid: True for words that are no padding. A sentence without any is no sentence.
        encode: maps the sentences [c k] to [c k], such as a bidirectional GRU; None leaves them.
        normalizer: maps a row of scores to a row of weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    pool = lambda params, rows, valid: pooling_attention(
        params, rows, rows, valid=valid, normalizer=normalizer
    )
    axes = (None, 0, None if valid is None else 0)
    sentences = jax.vmap(pool, axes)(params.words, words, valid)
    encoded = sentences.context if encode is None else encode(sentences.context)
    document = pool(params.sentences, encoded, None if valid is None else valid.any(1))
    return HierarchicalAttended(*document, sentences.weights)
