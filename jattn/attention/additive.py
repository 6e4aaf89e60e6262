"""Additive attention: Bahdanau, Cho & Bengio (2015), arXiv:1409.0473, appendix A.1.2."""

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


class AdditiveParams(NamedTuple):
    """Weights of the scoring network of `p` units; the paper's has no bias."""

    query_weight: Float[Array, "p q"]
    key_weight: Float[Array, "p k"]
    score_weight: Float[Array, " p"]
    bias: Float[Array, " p"] | None = None


@named_axes
def init_additive(
    rng: Key[Array, ""],
    *,
    query_size: Size,
    key_size: Size,
    units: Size,
    bias: bool = False,
    dtype: DTypeLike = float,
) -> AdditiveParams:
    """Draws every weight from a normal with variance 1 / fan-in; a bias starts at zero."""
    shapes = ((units, query_size), (units, key_size), (units,))
    keys = jax.random.split(rng, len(shapes))
    weights = [
        jax.random.normal(key, shape, dtype) * shape[-1] ** -0.5
        for key, shape in zip(keys, shapes, strict=True)
    ]
    return AdditiveParams(*weights, bias=jnp.zeros(units, dtype) if bias else None)


@named_axes
@at_least_float32
def additive_attention(
    params: AdditiveParams,
    query: Float[Array, "t q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    mask: MaskLike = None,
    bias: Bias = None,
    normalizer: Normalizer = softmax,
) -> Attended:
    """Scores each query-key pair with a network of one hidden layer.

        scores[t, s] = score_weight · tanh(query_weight query[t] + key_weight key[s] + params.bias)

    The paper names these v_a, W_a, s_{i-1}, U_a and h_j. Memory is O(t s p), for the hidden
    layer of every pair.

    Args:
        mask: True where a query may attend to a key. A query with no key gets context zero.
        bias: added to the scores; -inf is the same as a mask.
        normalizer: maps each row of scores to a row of weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    query, key, value, bias, allowed = readable(query, key, value, mask, bias)
    query_part = jnp.einsum("pq,tq->tp", params.query_weight, query)
    if params.bias is not None:
        query_part = query_part + params.bias[None]
    key_part = jnp.einsum("pk,sk->sp", params.key_weight, key)
    query_part = named_value(query_part, "encode/query_part")
    key_part = named_value(key_part, "encode/key_part")
    hidden = named_value(jnp.tanh(query_part[:, None] + key_part[None]), "encode/hidden")
    scores = jnp.einsum("p,tsp->ts", params.score_weight, hidden)
    return attend(scores, value, allowed, bias, normalizer)
