"""Visibility of the slots of a cache."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from jattn.engine.cache import KeyValueCache
from jattn.masks.algebra import Mask


def seen(cache: KeyValueCache, queries, keys, length) -> tuple[Array, Array]:
    """Returns the slots that each query may see, and the queries whose window lost a token."""
    query, key = queries[:, :, None], keys[:, None, :]
    allowed = (key >= 0) & (key <= query) & (query < length[:, :, None])
    if cache.window is None:
        return allowed, jnp.broadcast_to(length > cache.slots, queries.shape)
    first, oldest = cache.first_tokens, length - (cache.slots - cache.first_tokens)
    earliest = jnp.maximum(queries - cache.window + 1, first)
    lost = (queries >= first) & (queries < length) & (earliest < oldest)
    return allowed & ((key > query - cache.window) | (key < first)), lost


def at_positions(
    pattern: Mask, queries: Int[Array, "b t"], keys: Int[Array, "b s"]
) -> Bool[Array, "b t s"]:
    if pattern.sizes != (None, None):
        raise ValueError(
            f"attend_to_cache: mask is made for (t, s)={pattern.sizes}, expected a pattern of"
            " positions; a mask of slots is an array"
        )
    with jax.numpy_rank_promotion("allow"):
        found = jax.vmap(pattern.at)(queries[:, :, None], jnp.maximum(keys, 0)[:, None, :])
    return jnp.broadcast_to(found, (*queries.shape, keys.shape[-1]))


def over_slots(array, query, cache: KeyValueCache) -> Array:
    """An array over heads, queries and slots with the batch as one axis; heads may stay one."""
    *batch, t, heads, _ = query.shape
    array = jnp.asarray(array)
    heads = array.shape[-3] if array.ndim > 2 else 1
    array = jnp.broadcast_to(array, (*batch, heads, t, cache.slots))
    return array.reshape(math.prod(batch), heads, t, cache.slots)
