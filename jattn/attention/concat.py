"""Concat scores: Luong, Pham & Manning (2015), arXiv:1508.04025, section 3.1."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn._axes import named_axes
from jattn._naming import named_value
from jattn._options import Size
from jattn._precision import at_least_float32
from jattn.attention.attend import Attended, Bias, MaskLike, attend, readable
from jattn.normalizers import Normalizer, softmax


class ConcatParams(NamedTuple):
    """Weights of the scoring network of `p` units; the query's columns of `weight` come first."""

    weight: Float[Array, "p q+k"]
    score_weight: Float[Array, " p"]


@named_axes
def init_concat(
    rng: Key[Array, ""], *, query_size: Size, key_size: Size, units: Size, dtype: DTypeLike = float
) -> ConcatParams:
    """Draws every weight from a normal with variance 1 / fan-in."""
    shapes = ((units, query_size + key_size), (units,))
    keys = jax.random.split(rng, len(shapes))
    return ConcatParams(
        *(
            jax.random.normal(key, shape, dtype) * shape[-1] ** -0.5
            for key, shape in zip(keys, shapes, strict=True)
        )
    )


@named_axes
@at_least_float32
def concat_attention(
    params: ConcatParams,
    query: Float[Array, "t q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    mask: MaskLike = None,
    bias: Bias = None,
    normalizer: Normalizer = softmax,
) -> Attended:
    """Scores each query-key pair, concatenated, with a network of one hidden layer.

        scores[t, s] = score_weight · tanh(weight [query[t]; key[s]])

    The paper names these v_a, W_a, h_t and h̄_s and calls the score "concat". It is
    computed as `additive_attention`, with the weight's columns split between query and key. Memory
    is O(t s p), for the hidden layer of every pair.

    Args:
        mask: True where a query may attend to a key. A query with no key gets context zero.
        bias: added to the scores; -inf is the same as a mask.
        normalizer: maps each row of scores to a row of weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    query, key, value, bias, allowed = readable(query, key, value, mask, bias)
    query_weight, key_weight = jnp.split(params.weight, [query.shape[-1]], axis=1)
    query_part = jnp.einsum("pq,tq->tp", query_weight, query)
    key_part = jnp.einsum("pk,sk->sp", key_weight, key)
    hidden = named_value(jnp.tanh(query_part[:, None] + key_part[None]), "encode/hidden")
    scores = jnp.einsum("p,tsp->ts", params.score_weight, hidden)
    return attend(scores, value, allowed, bias, normalizer)
