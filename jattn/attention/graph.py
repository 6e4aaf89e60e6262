"""Attention to neighbours in a graph.

Sources: Veličković et al. (2018), arXiv:1710.10903; Brody, Alon & Yahav (2022),
arXiv:2105.14491.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn._axes import named_axes
from jattn._naming import named_value
from jattn._options import NotNegative, Size
from jattn._precision import at_least_float32
from jattn.attention.attend import Attended, Bias, MaskLike, attend, readable
from jattn.normalizers import Normalizer, softmax
from jattn.normalizers.counted import finite


class GraphParams(NamedTuple):
    """The map of every node to `p` features, and the weights of a query's and of a key's."""

    weight: Float[Array, "p d"]
    score_weight: Float[Array, "2 p"]


class DynamicGraphParams(NamedTuple):
    """Maps of queries and keys to `p` features, and the weights of their sum."""

    query_weight: Float[Array, "p q"]
    key_weight: Float[Array, "p k"]
    score_weight: Float[Array, " p"]


@named_axes
def init_graph(
    rng: Key[Array, ""], *, size: Size, units: Size, dtype: DTypeLike = float
) -> GraphParams:
    """Draws every weight from a normal with variance 1 / fan-in."""
    first, second = jax.random.split(rng)
    weight = jax.random.normal(first, (units, size), dtype) * size**-0.5
    return GraphParams(weight, jax.random.normal(second, (2, units), dtype) * (2 * units) ** -0.5)


@named_axes
def init_dynamic_graph(
    rng: Key[Array, ""], *, query_size: Size, key_size: Size, units: Size, dtype: DTypeLike = float
) -> DynamicGraphParams:
    """Draws every weight from a normal with variance 1 / fan-in."""
    shapes = ((units, query_size), (units, key_size), (units,))
    parts = zip(jax.random.split(rng, 3), shapes, strict=True)
    weights = (jax.random.normal(key, shape, dtype) * shape[-1] ** -0.5 for key, shape in parts)
    return DynamicGraphParams(*weights)


@named_axes
@at_least_float32
def graph_attention(
    params: GraphParams,
    query: Float[Array, "t d"],
    key: Float[Array, "s d"],
    value: Float[Array, "s v"],
    *,
    mask: MaskLike = None,
    bias: Bias = None,
    normalizer: Normalizer = softmax,
    slope: NotNegative = 0.2,
) -> Attended:
    """Scores each pair of nodes with a leaky rectifier of a sum of two numbers (GAT).

        scores[t, s] = leaky(score_weight[0] · weight query[t] + score_weight[1] · weight key[s])
        leaky(x)     = x where x > 0, else slope x

    The paper names these e_ij, a, W, h_i and h_j. Its values are the mapped nodes, so pass
    `weight key` as value. All queries rank the keys alike, since the rectifier is monotonic.

    Args:
        mask: True for neighbours, each node among its own: the paper includes i in N_i.
        bias: added to the scores; -inf is the same as a mask.
        normalizer: maps each row of scores to a row of weights.
        slope: of the rectifier below zero.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or slope is negative.
    """
    query, key, value, bias, allowed = readable(query, key, value, mask, bias)
    parts = (params.score_weight[0], query), (params.score_weight[1], key)
    of_query, of_key = (jnp.einsum("p,pd,nd->n", a, params.weight, rows) for a, rows in parts)
    # Without the selects of `finite` XLA may contract a product with the sum, into one rounding.
    scores = _leaky(finite(of_query)[:, None] + finite(of_key)[None], slope)
    return attend(scores, value, allowed, bias, normalizer)


@named_axes
@at_least_float32
def dynamic_graph_attention(
    params: DynamicGraphParams,
    query: Float[Array, "t q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    mask: MaskLike = None,
    bias: Bias = None,
    normalizer: Normalizer = softmax,
    slope: NotNegative = 0.2,
) -> Attended:
    """Scores each pair of nodes with weights of a leaky rectifier of their sum (GATv2).

        scores[t, s] = score_weight · leaky(query_weight query[t] + key_weight key[s])

    It is `graph_attention` with the rectifier before the weights, or `additive_attention` with a
    rectifier for tanh, so each query may rank the keys in its own way. The paper's values are
    `key_weight key`. Memory is O(t s p).

    Args:
        mask: True for neighbours, each node among its own.
        bias: added to the scores; -inf is the same as a mask.
        normalizer: maps each row of scores to a row of weights.
        slope: of the rectifier below zero.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or slope is negative.
    """
    query, key, value, bias, allowed = readable(query, key, value, mask, bias)
    of_query = jnp.einsum("pq,tq->tp", params.query_weight, query)
    of_key = jnp.einsum("pk,sk->sp", params.key_weight, key)
    hidden = named_value(_leaky(of_query[:, None] + of_key[None], slope), "encode/hidden")
    scores = jnp.einsum("p,tsp->ts", params.score_weight, hidden)
    return attend(scores, value, allowed, bias, normalizer)


def _leaky(x: Float[Array, "..."], slope: float) -> Float[Array, "..."]:
    return jnp.where(x > 0.0, x, slope * x)
