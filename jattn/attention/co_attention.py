"""Parallel co-attention: Lu et al. (2016), arXiv:1606.00061."""

from typing import NamedTuple

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


class CoAttentionParams(NamedTuple):
    """The matrix of affinities, and for each sequence a map to `p` units and their weights."""

    affinity_weight: Float[Array, "q k"]
    query_weight: Float[Array, "p q"]
    key_weight: Float[Array, "p k"]
    query_score_weight: Float[Array, " p"]
    key_score_weight: Float[Array, " p"]


class CoAttended(NamedTuple):
    """One vector for each sequence, the weights of its members, and the affinities of pairs."""

    query_context: Float[Array, " q"]
    key_context: Float[Array, " k"]
    query_weights: Float[Array, " t"]
    key_weights: Float[Array, " s"]
    affinity: Float[Array, "t s"]


@named_axes
def init_co_attention(
    rng: Key[Array, ""], *, query_size: Size, key_size: Size, units: Size, dtype: DTypeLike = float
) -> CoAttentionParams:
    """Draws weights from a normal with variance 1 / fan-in.

    That of the affinities is 1 / (query_size key_size).
    """
    shapes = ((query_size, key_size), (units, query_size), (units, key_size), (units,), (units,))
    fan_ins = (query_size * key_size, query_size, key_size, units, units)
    parts = zip(jax.random.split(rng, len(shapes)), shapes, fan_ins, strict=True)
    return CoAttentionParams(*(jax.random.normal(key, x, dtype) * n**-0.5 for key, x, n in parts))


@named_axes
@at_least_float32
def parallel_co_attention(
    params: CoAttentionParams,
    query: Float[Array, "t q"],
    key: Float[Array, "s k"],
    *,
    query_valid: Bool[Array, " t"] | None = None,
    key_valid: Bool[Array, " s"] | None = None,
    normalizer: Normalizer = softmax,
) -> CoAttended:
    """Reduces each of two sequences to one vector, by attention that the other one guides.

        affinity[t, s]   = tanh(query[t] · affinity_weight key[s])
        key_hidden[s]    = tanh(key_weight key[s] + Σ_t affinity[t, s] query_weight query[t])
        query_hidden[t]  = tanh(query_weight query[t] + Σ_s affinity[t, s] key_weight key[s])
        key_weights[s]   = softmax of key_score_weight · key_hidden[s]
        query_weights[t] = softmax of query_score_weight · query_hidden[t]

    The paper's queries Q are the words of a question and its keys V the regions of an image. It
    names the affinity C, the weights W_b, W_q, W_v, w_hq and w_hv, and the results q̂ and v̂.

    Args:
        query_valid: True for queries that are no padding; None for all.
        key_valid: the same for keys. A sequence without a valid member gives zeros.
        normalizer: maps a row of scores to a row of weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    query, key = only(query_valid, query), only(key_valid, key)
    projected = jnp.einsum("tq,qk->tk", query, params.affinity_weight)
    affinity = named_value(jnp.tanh(jnp.einsum("tk,sk->ts", projected, key)), "score/affinity")
    of_query = jnp.einsum("pq,tq->tp", params.query_weight, query)
    of_key = jnp.einsum("pk,sk->sp", params.key_weight, key)
    query_hidden = jnp.tanh(of_query + jnp.einsum("ts,sp->tp", affinity, of_key))
    key_hidden = jnp.tanh(of_key + jnp.einsum("ts,tp->sp", affinity, of_query))

    def pool(units, hidden, rows, valid):
        scores = jnp.einsum("p,sp->s", units, hidden)[None]
        weights = normalizer(scores, None if valid is None else jnp.asarray(valid)[None])[0]
        return jnp.einsum("s,sv->v", weights, rows), weights

    of_queries = pool(params.query_score_weight, query_hidden, query, query_valid)
    of_keys = pool(params.key_score_weight, key_hidden, key, key_valid)
    contexts, weights = zip(of_queries, of_keys, strict=True)
    return CoAttended(*contexts, *weights, affinity)
