"""Haiku. Its attention comes with projections, which are set to the identity.

Its GRU puts the reset gate before the product, so it computes another function than the rest.
"""

# pyright: reportMissingImports=false

import haiku
import jax
import jax.numpy as jnp

from experiments.differences.measures import by_jax


def attention(query, key, value, mask):
    size = query.shape[-1]
    identity = lambda shape, dtype: jnp.eye(*shape, dtype=dtype)
    module = haiku.transform(
        lambda: haiku.MultiHeadAttention(1, size, w_init=identity, with_bias=False)(
            query, key, value, mask=mask[None]
        )
    )
    return module.apply(module.init(jax.random.key(0)), None)


ATTENTION = {"haiku.MultiHeadAttention": by_jax(attention)}
GRU = {}
