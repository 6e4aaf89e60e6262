"""Dropout of attention weights: a function of the rng and of the pair's place alone."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key


class Chance(NamedTuple):
    """What the weights that are kept are drawn from, and the places of a block's heads."""

    rng: Key[Array, ""]
    heads: Int[Array, " r"]  # batch × heads + head


def kept_pairs(
    chance: Chance, rate: float, queries: Int[Array, " t"], keys: Int[Array, " s"]
) -> Bool[Array, "s r t"]:
    """True with probability 1 - rate, for each pair by itself.

    Each pair's bits are a hash of rng, head, query and key, so that they are the same however the
    pairs are divided into blocks.
    """
    fold = jax.random.fold_in
    each = jax.vmap(
        lambda head: jax.vmap(lambda query: fold(fold(chance.rng, head), query))(queries)
    )
    rows = each(chance.heads)
    pairs = jax.vmap(lambda key: jax.vmap(jax.vmap(lambda row: fold(row, key)))(rows))(keys)
    return _bits(pairs) >= jnp.uint32(min(round(rate * 2.0**32), 2**32 - 1))


def _bits(rngs: Any) -> Any:
    """32 bits of each key: `fold_in` is a hash, whatever the generator."""
    return jax.random.key_data(rngs)[..., 0]
