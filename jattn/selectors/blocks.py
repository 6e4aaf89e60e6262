"""Blocks of keys: which a query may attend to, sums over them, and the keys of chosen ones."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jattn.masks.algebra import as_array
from jattn.masks.patterns import blocks, causal
from jattn.normalizers.counted import Allowed

Integer = int | Int[Array, ""]


def allowed_past(mask: Allowed, t: int, s: int, offset: Integer) -> Bool[Array, "t s"]:
    """Returns the keys up to a query's position, query + offset, that the mask allows."""
    past, allowed = causal(offset).dense(t, s), as_array(mask, t, s)
    return past if allowed is None else past & jnp.asarray(allowed)


def count_of_blocks(s: Any, size: int) -> Any:
    """Returns the number of blocks of `size` keys, of which the last may be shorter."""
    return (s + size - 1) // size


def sums(pairs: Float[Array, "t s"], size: int) -> Float[Array, "t n"]:
    """Returns the sum of each row over each block of keys."""
    t, s = pairs.shape
    zeros = jnp.zeros((t, count_of_blocks(s, size)), pairs.dtype)
    return zeros.at[:, jnp.arange(s) // size].add(pairs)


def eligible(allowed: Bool[Array, "t s"], size: int) -> Bool[Array, "t n"]:
    """Returns the blocks of which a query may attend to a key."""
    return sums(allowed.astype(jnp.int32), size) > 0


def blocks_back(t: int, s: int, size: int, offset: Integer, steps: int) -> Bool[Array, "t n"]:
    """Returns the block that is `steps` blocks before the one of a query's position."""
    starts = size * jnp.arange(count_of_blocks(s, size))[None]
    return blocks(size, offset).at(jnp.arange(t)[:, None], starts + steps * size)


def keys_of(
    chosen: Bool[Array, "t n"], allowed: Bool[Array, "t s"], size: int
) -> Bool[Array, "t s"]:
    """Returns the allowed keys of the chosen blocks."""
    return allowed & chosen[:, jnp.arange(allowed.shape[1]) // size]
