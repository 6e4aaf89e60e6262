"""The scores of additive attention, without weights."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jattn.attention.additive import AdditiveParams


def additive_scores(
    params: AdditiveParams, query: Float[Array, "t q"], key: Float[Array, "s k"]
) -> Float[Array, "t s"]:
    """Returns score_weight · tanh(query_weight query[t] + key_weight key[s] + bias)."""
    query_part = jnp.einsum("pq,tq->tp", params.query_weight, query)
    key_part = jnp.einsum("pk,sk->sp", params.key_weight, key)
    if params.bias is not None:
        key_part = key_part + params.bias[None]
    hidden = jnp.tanh(query_part[:, None] + key_part[None])
    return jnp.einsum("p,tsp->ts", params.score_weight, hidden)
