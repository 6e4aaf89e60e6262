"""Writes to a cache of keys and values."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from jattn._options import check_array, check_length
from jattn.caches.cache import (
    KeyValueCache,
    check_cache,
    check_integers,
    in_layer,
    is_overwritten,
    over_axes,
)


def extend_cache(
    cache: KeyValueCache,
    key: Float[Array, "*b c g k"],
    value: Float[Array, "*b c g v"],
    *,
    lengths: Int[Array, "*b"] | None = None,
    layer: int | Int[Array, ""] | None = None,
) -> KeyValueCache:
    """Returns the cache with the next `c` tokens of every sequence: a prompt, a part of it, or one.

    Under `jax.jit` with the cache donated (`donate_argnums`) slots are written in place, except in
    half precision on a CPU, where XLA copies the cache.

    Args:
        key: [*b c g k], in the dtype of the cache.
        value: [*b c g v], in the dtype of the cache.
        lengths: number of tokens of each sequence in the chunk; the rest is padding, and is not
            stored. By default all are tokens.
        layer: index into the first axis of the cache, which `key`, `value` and `lengths` then lack.
            The other layers are neither changed nor copied. A traced index is clipped.

    Raises:
        ValueError: if shapes or dtypes disagree, a chunk is longer than the cache can take at once,
            or tokens do not fit. Traced lengths are not checked: tokens that do not fit are then
            dropped, and `attend_to_cache` gives NaN for their sequence.
    """
    layer, batch = check_cache("extend_cache", cache, layer)
    chunk = _check_chunk(cache, batch, key, value)
    added = jnp.asarray(chunk if lengths is None else lengths)
    check_integers("extend_cache: lengths", added)
    check_length("extend_cache: lengths", lengths, chunk, "c")
    if added.shape != batch and lengths is not None:
        raise ValueError(f"extend_cache: lengths has shape {added.shape}, expected {batch}")
    extended = _store(cache, key, value, added, layer)
    after, slots = extended.length, cache.slots
    if cache.window is None and not isinstance(after, Tracer) and (after > slots).any():
        raise ValueError(f"extend_cache: {after.max()} tokens, expected at most {slots}")
    return extended


def rollback_cache(cache: KeyValueCache, count: int | Int[Array, "*b"]) -> KeyValueCache:
    """Returns the cache without the last `count` tokens of every sequence, of which none is read.

    It is for speculative decoding, which stores several tokens and keeps some of them. Slots are
    not written. In a rolling cache the forgotten tokens have overwritten older ones. There, as many
    tokens as `longest_chunk` can be forgotten, counted from the largest length.

    Args:
        count: a number for all sequences or one for each; of a cache with layers, also one for each
            sequence of a layer.

    Raises:
        ValueError: if a count is negative or larger than the length, or the window of the next
            token is overwritten. Traced counts are clipped to the length, and `attend_to_cache`
            gives NaN for a query whose window is overwritten.
    """
    check_cache("rollback_cache", cache, None)
    check_array("rollback_cache: count", count)
    given, batch = jnp.asarray(count), cache.length.shape
    check_integers("rollback_cache: count", given)
    if given.ndim > len(batch) or given.shape != batch[len(batch) - given.ndim :]:
        raise ValueError(f"rollback_cache: count has shape {given.shape}, expected {batch}")
    given = given.reshape((1,) * (len(batch) - given.ndim) + given.shape).astype(jnp.int32)
    length = cache.length - jnp.clip(given, 0, cache.length)
    furthest = jnp.maximum(cache.furthest, cache.length)
    if not isinstance(length, Tracer):
        if ((given < 0) | (given > cache.length)).any():
            expected = f"0 to the length, {cache.length}"
            raise ValueError(f"rollback_cache: count is {count}, expected {expected}")
        if is_overwritten(cache, length, length, furthest).any():
            raise ValueError(
                f"rollback_cache: count is {count}, expected at most {cache.longest_chunk}"
                " (longest_chunk) from the largest length of a rolling cache"
            )
    # Queries of a chunk of which some tokens are left are placed as those of a padded chunk.
    size = jnp.where(length < cache.chunk_start, 0, cache.chunk_size)
    return dataclasses.replace(cache, length=length, chunk_size=size, furthest=furthest)


@jax.jit
def _store(
    cache: KeyValueCache, key: Array, value: Array, added: Array, layer: Array | None
) -> KeyValueCache:
    chunk, slots, first = key.shape[-3], cache.slots, cache.first_tokens
    before = in_layer(cache.length, layer)
    added = jnp.zeros_like(before) + added.astype(jnp.int32)  # Sharded as the lengths are.

    def place(length: Int[Array, ""], added: Int[Array, ""]) -> tuple[Array, Array]:
        order = jnp.arange(chunk, dtype=jnp.int32)
        position, is_stored = length + order, order < added
        ring = first + (position - first) % max(slots - first, 1)
        is_stored = is_stored & (position < slots) if cache.window is None else is_stored
        return jnp.where(position < first, position, ring), is_stored

    slot, is_stored = over_axes(place, before.ndim)(before, added)
    index = [slot] if layer is None else [jnp.zeros_like(slot) + layer, slot]
    store = functools.partial(_write, jnp.stack(index, -1), is_stored[..., None, None])

    def put(every: Array, row: Array) -> Array:
        return row if layer is None else lax.dynamic_update_index_in_dim(every, row, layer, 0)

    return dataclasses.replace(
        cache,
        key=store(cache.key, key),
        value=store(cache.value, value),
        length=put(cache.length, before + added),
        chunk_start=put(cache.chunk_start, before),
        chunk_size=put(cache.chunk_size, jnp.full_like(before, chunk)),
    )


def _write(
    index: Int[Array, "*b c n"],
    is_stored: Bool[Array, "*b c 1 1"],
    stored: Float[Array, "... g s k"],
    tokens: Float[Array, "*b c g k"],
) -> Float[Array, "... g s k"]:
    """Writes tokens in place; `index` has the slot of each, after the layer if there is one.

    The batch and the heads are axes of one gather and one scatter, so each may be sharded.
    """
    layers, batch = index.shape[-1] - 1, index.ndim - 2
    axes = tuple(range(layers, layers + batch)), tuple(range(batch))
    window, placed = (batch + 1, batch + 2), (*range(layers), stored.ndim - 2)
    sizes = [1 if axis in (*placed, *axes[0]) else n for axis, n in enumerate(stored.shape)]
    reading = lax.GatherDimensionNumbers(window, placed, placed, *axes)
    writing = lax.ScatterDimensionNumbers(window, placed, placed, *axes)
    # Padding and tokens that do not fit write the slot's own content: checkify rejects an index
    # past the end. A chunk has no more tokens than slots, so no slot is written twice.
    old = lax.gather(stored, index, reading, tuple(sizes))
    tokens = jnp.where(is_stored, tokens, old)
    return lax.scatter(stored, index, tokens, writing, unique_indices=True)


def _check_chunk(cache: KeyValueCache, batch: tuple[int, ...], key: Array, value: Array) -> int:
    """Returns the number of tokens in a chunk; raises ValueError if it does not fit the cache."""
    groups = cache.key.shape[-3]
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
