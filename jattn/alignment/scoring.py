"""The scores of additive attention, without weights, and their parts."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from jattn.attention.additive import AdditiveParams


def additive_scores(
    params: AdditiveParams, query: Float[Array, "t q"], key: Float[Array, "s k"]
) -> Float[Array, "t s"]:
    """Returns score_weight · tanh(query_weight query[t] + key_weight key[s] + bias)."""
    hidden = hidden_of_pairs(params, query, key)
    return jnp.einsum("p,tsp->ts", params.score_weight, hidden)


def hidden_of_pairs(
    params: Any, query: Float[Array, "t q"], key: Float[Array, "s k"]
) -> Float[Array, "t s p"]:
    """Returns the hidden layer of every pair."""
    query_part, key_part = parts(params, query, key)
    return jnp.tanh(query_part[:, None] + key_part[None])


def parts(
    params: Any, query: Float[Array, "t q"], key: Float[Array, "s k"]
) -> tuple[Float[Array, "t p"], Float[Array, "s p"]]:
    """Returns what queries and keys add to the hidden layer, the bias with the keys.

    The parameters have a query_weight, a key_weight and a bias, which may be None.
    """
    query_part = jnp.einsum("pq,tq->tp", params.query_weight, query)
    key_part = jnp.einsum("pk,sk->sp", params.key_weight, key)
    return query_part, key_part if params.bias is None else key_part + params.bias[None]
