"""Dropout of attention weights: a function of the key and of the pair's place alone."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key

from jattn._options import is_old_key

THREEFRY = "threefry2x32"


def kept_pairs(
    rng: Key[Array, ""],
    rate: float,
    heads: Int[Array, " h"],
    queries: Int[Array, " t"],
    keys: Int[Array, " s"],
) -> Bool[Array, "h t s"]:
    """Returns True with probability 1 - rate, for each pair independently.

    The bits of a pair are a hash of (rng, head, query, key). So they are the same however the pairs
    are divided into blocks, under `jax.vmap`, and whatever generator the key belongs to.

    Args:
        heads: a number for each head; in a batch, element × heads + head.
        queries: positions of the queries.
        keys: positions of the keys.
    """
    fold_each = jax.vmap(jax.random.fold_in, (None, 0))
    rows = jax.vmap(fold_each, (0, None))(fold_each(threefry_key(rng), heads), queries)
    pairs = jax.vmap(jax.vmap(fold_each, (0, None)), (0, None))(rows, keys)
    bits = jax.random.key_data(pairs)[..., 0]
    return bits >= jnp.uint32(min(round(rate * 2.0**32), 2**32 - 1))


def threefry_key(rng: Key[Array, ""]) -> Key[Array, ""]:
    """Returns a threefry key from all words of a key: `fold_in` of other generators is no hash."""
    words = rng if is_old_key(rng) else jax.random.key_data(rng)
    words = jnp.concatenate([words, jnp.zeros(max(2 - len(words), 0), "uint32")])
    key = jax.random.wrap_key_data(words[:2], impl=THREEFRY)
    for i in range(2, len(words)):
        key = jax.random.fold_in(key, words[i])
    return key
