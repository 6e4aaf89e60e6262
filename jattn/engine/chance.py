"""Dropout of attention weights: a function of the rng and of the pair's place alone."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key


class Chance(NamedTuple):
    """What the weights that are kept are drawn from, and the places of a block's heads."""

    rng: Key[Array, ""]
    heads: Int[Array, " r"]  # batch × heads + head


def kept_pairs(
    chance: Chance, rate: float, queries: Int[Array, " t"], keys: Int[Array, " s"]
) -> Bool[Array, "r t s"]:
    """True with probability 1 - rate, for each pair by itself.

    Each pair's bits are a hash of rng, head, query and key, so that they are the same however the
    pairs are divided into blocks.
    """
    fold_each = jax.vmap(jax.random.fold_in, (None, 0))
    heads = fold_each(chance.rng, chance.heads)
    rows = jax.vmap(fold_each, (0, None))(heads, queries)
    pairs = jax.vmap(jax.vmap(fold_each, (0, None)), (0, None))(rows, keys)
    bits = jax.random.key_data(pairs)[..., 0]  # `fold_in` is a hash, whatever the generator.
    return bits >= jnp.uint32(min(round(rate * 2.0**32), 2**32 - 1))
