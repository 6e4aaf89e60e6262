"""Cache of keys and values, for decoding a token or a chunk at a time."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jattn._axes import named_axes
from jattn._options import Count, Size, check_array, check_length


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class KeyValueCache:
    """Keys and values in slots; `b` stands for any axes, of which the first may be layers.

    Without `window`, token 0 is in slot 0 and so on. With it, the first slots keep the first
    `first_tokens` tokens for good, and the others are a ring of the latest ones.

    Attributes:
        length: number of tokens.
        chunk_start: position of the first token of the latest chunk.
        chunk_size: number of tokens in the latest chunk, its padding included.
        furthest: the largest length before a roll back, from which the ring's positions follow.
    """

    key: Float[Array, "*b g s k"]
    value: Float[Array, "*b g s v"]
    length: Int[Array, "*b"]
    chunk_start: Int[Array, "*b"]
    chunk_size: Int[Array, "*b"]
    furthest: Int[Array, "*b"]
    window: int | None = dataclasses.field(default=None, metadata={"static": True})
    first_tokens: int = dataclasses.field(default=0, metadata={"static": True})

    @property
    def slots(self) -> int:
        return self.key.shape[-2]

    @property
    def longest_chunk(self) -> int:
        """Number of tokens that can be stored, and then attend, at once."""
        if self.window is None:
            return self.slots
        return self.slots - self.first_tokens - self.window + 1


@named_axes
def init_cache(
    *batch: Count,
    capacity: Count,
    key_value_heads: Size,
    key_size: Size,
    value_size: Size | None = None,
    dtype: DTypeLike = float,
) -> KeyValueCache:
    """Returns an empty cache for `capacity` tokens of each sequence.

    Args:
        batch: sizes of the leading axes, if any. A cache for all layers of a model has their number
            as the first; see `layer` of `extend_cache`.
        capacity: number of slots.
        key_value_heads: heads of the keys and values, `g`.
        key_size: features of a key, `k`.
        value_size: features of a value, `v`; by default as many.
        dtype: of the keys and values.

    Raises:
        ValueError: if a size is negative or no integer, or the dtype is not floating-point.
    """
    slots = (*batch, key_value_heads, capacity)
    key = jnp.zeros((*slots, key_size), dtype)
    value = jnp.zeros((*slots, key_size if value_size is None else value_size), dtype)
    none = lambda: jnp.zeros(batch, jnp.int32)  # An array each: one is donated only once.
    return KeyValueCache(key, value, none(), none(), none(), none())


@named_axes
def init_rolling_cache(
    *batch: Count,
    window: Size,
    first_tokens: Count = 0,
    longest_chunk: Size = 1,
    key_value_heads: Size,
    key_size: Size,
    value_size: Size | None = None,
    dtype: DTypeLike = float,
) -> KeyValueCache:
    """Returns an empty cache for sequences of any length: the last tokens and the first few.

    Each token attends to itself, to the `window` - 1 tokens before it, and to the first tokens.
    These are the attention sinks of Xiao et al. (2023), arXiv:2309.17453.

    Args:
        batch: sizes of the leading axes, as in `init_cache`.
        window: tokens that a token attends to, itself included.
        first_tokens: tokens at the beginning that are kept for good.
        longest_chunk: tokens that can be stored at once. A chunk of c tokens needs c - 1 slots in
            addition to the window, or it would overwrite what its first token attends to.
        key_value_heads: heads of the keys and values, `g`.
        key_size: features of a key, `k`.
        value_size: features of a value, `v`; by default as many.
        dtype: of the keys and values.

    Raises:
        ValueError: if the window or the chunk is less than 1, `first_tokens` is negative, a size is
            no integer, or the dtype is not floating-point.
    """
    cache = init_cache(
        *batch,
        capacity=first_tokens + window + longest_chunk - 1,
        key_value_heads=key_value_heads,
        key_size=key_size,
        value_size=value_size,
        dtype=dtype,
    )
    return dataclasses.replace(cache, window=window, first_tokens=first_tokens)


def slot_positions(cache: KeyValueCache) -> Int[Array, "*b s"]:
    """Returns the position in its sequence of the token in each slot, -1 where there is none."""
    of_example = functools.partial(positions_of, cache)
    return over_axes(of_example, cache.length.ndim)(cache.length, cache.furthest)


def positions_of(
    cache: KeyValueCache, length: Int[Array, ""], furthest: Int[Array, ""]
) -> Int[Array, " s"]:
    """Returns `slot_positions` of one sequence."""
    slot = jnp.arange(cache.slots, dtype=jnp.int32)
    first = cache.slots if cache.window is None else cache.first_tokens
    # How many tokens ago the ring was written here: its latest token was at 0.
    latest = jnp.maximum(length, furthest) - 1
    age = (latest - slot) % max(cache.slots - first, 1)
    position = jnp.where(slot < first, slot, latest - age)
    kept = (position < length) & ((position >= first) | (slot < first))
    return jnp.where(kept, position, -1)


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
    _check_integers("extend_cache: lengths", added)
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
    _check_integers("rollback_cache: count", given)
    if given.ndim > len(batch) or given.shape != batch[len(batch) - given.ndim :]:
        raise ValueError(f"rollback_cache: count has shape {given.shape}, expected {batch}")
    given = given.reshape((1,) * (len(batch) - given.ndim) + given.shape)
    length = cache.length - jnp.clip(given, 0, cache.length).astype(jnp.int32)
    furthest = jnp.maximum(cache.furthest, cache.length)
    if not isinstance(length, Tracer):
        if ((given < 0) | (given > cache.length)).any():
            expected = f"0 to the length, {cache.length}"
            raise ValueError(f"rollback_cache: count is {count}, expected {expected}")
        if cache.window is not None:
            earliest = jnp.maximum(length - cache.window + 1, cache.first_tokens)
            overwritten = furthest - (cache.slots - cache.first_tokens)
            if (earliest < jnp.minimum(overwritten, length)).any():
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
    front = 0 if layer is None else 1  # The axes of a batch and of heads come after the layers'.

    def example(length, added, keys, values, key, value):
        order = jnp.arange(chunk, dtype=jnp.int32)
        position, is_stored = length + order, order < added
        # Padding and tokens that do not fit write the slot's own content: checkify rejects an index
        # past the end. A chunk has no more tokens than slots, so no slot is written twice.
        if cache.window is None:
            is_stored &= position < slots
            slot = position % max(slots, 1)
        else:
            ring = first + (position - first) % (slots - first)
            slot = jnp.where(position < first, position, ring)
        place = slot if layer is None else (layer, slot)

        def store(stored: Float[Array, "*l s k"], tokens: Float[Array, "c k"]) -> Array:
            tokens = jnp.where(is_stored[:, None], tokens, stored[place])
            return stored.at[place].set(tokens, unique_indices=True)

        of_heads = jax.vmap(store, (front, 1), front)
        return of_heads(keys, key), of_heads(values, value)

    before = in_layer(cache.length, layer)
    added = jnp.zeros_like(before) + added.astype(jnp.int32)  # Sharded as the lengths are.
    run = over_axes(example, before.ndim, (0, 0, front, front, 0, 0), front)
    keys, values = run(before, added, cache.key, cache.value, key, value)

    def put(every: Array, row: Array) -> Array:
        return row if layer is None else lax.dynamic_update_index_in_dim(every, row, layer, 0)

    return dataclasses.replace(
        cache,
        key=keys,
        value=values,
        length=put(cache.length, before + added),
        chunk_start=put(cache.chunk_start, before),
        chunk_size=put(cache.chunk_size, jnp.full_like(before, chunk)),
    )


def over_axes(function: Callable[..., Any], count: int, in_axes: Any = 0, out_axes: Any = 0) -> Any:
    """Returns `function` mapped by `count` calls of `jax.vmap`, which keeps sharded axes apart."""
    for _ in range(count):
        function = jax.vmap(function, in_axes, out_axes)
    return function


def in_layer(array: Array, layer: Array | None) -> Array:
    return array if layer is None else lax.dynamic_index_in_dim(array, layer, keepdims=False)


def check_cache(
    function: str, cache: KeyValueCache, layer: int | Array | None
) -> tuple[Int[Array, ""] | None, tuple[int, ...]]:
    """Returns the layer as an array and the batch of a call; raises ValueError for wrong ones."""
    if not isinstance(cache, KeyValueCache):
        given = type(cache).__name__
        raise ValueError(f"{function}: cache is a {given}, expected a KeyValueCache")
    batch = cache.length.shape
    if layer is None:
        return None, batch
    check_array(f"{function}: layer", layer)
    index = jnp.asarray(layer)
    _check_integers(f"{function}: layer", index)
    if index.ndim or not batch:
        expected = "a cache with an axis of layers" if not batch else "one index"
        raise ValueError(f"{function}: layer has shape {index.shape}, expected {expected}")
    if not isinstance(index, Tracer) and not 0 <= int(index) < batch[0]:
        raise ValueError(f"{function}: layer is {int(index)}, expected 0 to {batch[0] - 1}")
    return jnp.clip(index, 0, batch[0] - 1).astype(jnp.int32), batch[1:]


def _check_integers(argument: str, array: Array) -> None:
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise ValueError(f"{argument} has dtype {array.dtype}, expected an integer dtype")


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
