"""Writes to a cache of keys and values."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from jattn._options import check_array, check_length
from jattn.engine.cache import KeyValueCache


def extend_cache(
    cache: KeyValueCache,
    key: Float[Array, "*b c g k"],
    value: Float[Array, "*b c g v"],
    *,
    lengths: Int[Array, "*b"] | None = None,
) -> KeyValueCache:
    """Returns the cache with the next `c` tokens of every sequence: a prompt, a part of it, or one.

    Under `jax.jit` with the cache donated (`donate_argnums`) slots are written in place, except in
    half precision on a CPU, where XLA copies the cache.

    Args:
        key: [*b c g k], in the dtype of the cache.
        value: [*b c g v], in the dtype of the cache.
        lengths: number of tokens of each sequence in the chunk; the rest is padding, and is not
            stored. By default all are tokens.

    Raises:
        ValueError: if shapes or dtypes disagree, a chunk is longer than the cache can take at once,
            or tokens do not fit. Traced lengths are not checked: tokens that do not fit are then
            dropped, and `attend_to_cache` gives NaN for their sequence.
    """
    if not isinstance(cache, KeyValueCache):
        given = type(cache).__name__
        raise ValueError(f"extend_cache: cache is a {given}, expected a KeyValueCache")
    chunk = _check_chunk(cache, key, value)
    batch, slots = cache.length.shape, cache.slots
    added = jnp.full(batch, chunk, jnp.int32) if lengths is None else jnp.asarray(lengths)
    if not jnp.issubdtype(added.dtype, jnp.integer):
        raise ValueError(
            f"extend_cache: lengths has dtype {added.dtype}, expected an integer dtype"
        )
    check_length("extend_cache: lengths", lengths, chunk, "c")
    if added.shape != batch:
        raise ValueError(f"extend_cache: lengths has shape {added.shape}, expected {batch}")
    extended = _store(cache, key, value, added)
    after = extended.length
    if cache.window is None and not isinstance(after, Tracer) and (after > slots).any():
        raise ValueError(f"extend_cache: {after.max()} tokens, expected at most {slots}")
    return extended


@jax.jit
def _store(cache: KeyValueCache, key: Array, value: Array, added: Array) -> KeyValueCache:
    count, slots, first = math.prod(cache.length.shape), cache.slots, cache.first_tokens
    length = cache.length.reshape(count, 1)
    added = added.astype(jnp.int32).reshape(count, 1)
    order = jnp.arange(key.shape[-3], dtype=jnp.int32)[None]
    position = length + order
    is_stored = order < added
    # Padding and tokens that do not fit write what is there: an index past the end would alarm
    # checkify. A chunk has no more tokens than slots, so that no slot is written twice.
    if cache.window is None:
        is_stored &= position < slots
        slot = position % max(slots, 1)
    else:
        slot = jnp.where(position < first, position, first + (position - first) % (slots - first))
    places = jnp.arange(count)[:, None], slice(None), slot

    def store(stored: Array, tokens: Array) -> Array:
        rows = stored.reshape(count, *stored.shape[-3:])
        tokens = tokens.reshape(count, *tokens.shape[-3:])
        tokens = jnp.where(is_stored[:, :, None, None], tokens, rows[places])
        return rows.at[places].set(tokens, unique_indices=True).reshape(stored.shape)

    return dataclasses.replace(
        cache,
        key=store(cache.key, key),
        value=store(cache.value, value),
        length=(length + added).reshape(cache.length.shape),
        chunk_start=cache.length,
        chunk_size=jnp.full(cache.length.shape, key.shape[-3], jnp.int32),
    )


def _check_chunk(cache: KeyValueCache, key: Array, value: Array) -> int:
    """Returns the number of tokens in a chunk; raises ValueError if it does not fit the cache."""
    batch, groups = cache.length.shape, cache.key.shape[-3]
    chunk = np.shape(key)[len(batch)] if np.ndim(key) == len(batch) + 3 else -1
    for name, array, stored in (("key", key, cache.key), ("value", value, cache.value)):
        check_array(f"extend_cache: {name}", array)
        size = stored.shape[-1]
        if np.shape(array) != (*batch, chunk, groups, size):
            raise ValueError(
                f"extend_cache: {name} has shape {np.shape(array)}, expected (*b, c, g, {name[0]})"
                f" with *b={batch}, g={groups}, {name[0]}={size} (from cache)"
                + (f", c={chunk} (from key)" if name == "value" else "")
            )
        if array.dtype != stored.dtype:
            raise ValueError(
                f"extend_cache: {name} has dtype {array.dtype}, expected {stored.dtype},"
                " the cache's"
            )
    if chunk > cache.longest_chunk:
        raise ValueError(
            f"extend_cache: {chunk} tokens at once, expected at most {cache.longest_chunk}"
        )
    return chunk
