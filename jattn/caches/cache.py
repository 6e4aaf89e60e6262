"""Cache of keys and values, for decoding a token or a chunk at a time."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

from jattn._axes import named_axes
from jattn._options import Count, Size, check_array
from jattn.masks.algebra import Mask


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
        key_value_heads, key_size, value_size, dtype: as in `init_cache`.

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


def is_overwritten(
    cache: KeyValueCache,
    position: Int[Array, "..."],
    length: Int[Array, "..."],
    furthest: Int[Array, "..."],
) -> Bool[Array, "..."]:
    """Returns whether the ring has lost a key that a query at `position` should attend to."""
    if cache.window is None:
        return jnp.zeros_like(position, bool)
    earliest = jnp.maximum(position - cache.window + 1, cache.first_tokens)
    oldest = jnp.maximum(length, furthest) - (cache.slots - cache.first_tokens)
    return earliest < jnp.minimum(oldest, length)


def visible_slots(
    cache: KeyValueCache,
    t: int,
    patterns: list[Mask],
    is_causal: bool,
    length: Int[Array, ""],
    furthest: Int[Array, ""],
    first_query: Int[Array, ""],
) -> tuple[Bool[Array, "t s"], Bool[Array, " t"]]:
    """Returns the slots that each query may see, and the queries whose keys are lost."""
    queries = first_query + jnp.arange(t, dtype=jnp.int32)
    query, key = queries[:, None], positions_of(cache, length, furthest)[None]
    allowed = jnp.broadcast_to(key >= 0, (t, cache.slots))
    if is_causal:
        allowed &= (key <= query) & (query < length)
    if cache.window is None:
        lost = jnp.broadcast_to(length > cache.slots, (t,))
    else:
        allowed &= (key > query - cache.window) | (key < cache.first_tokens)
        lost = (queries >= cache.first_tokens) & (queries < length)
        lost &= is_overwritten(cache, queries, length, furthest)
    for pattern in patterns:
        if pattern.sizes != (None, None):
            raise ValueError(
                f"attend_to_cache: mask is made for (t, s)={pattern.sizes}, expected a pattern of"
                " positions; a mask of slots is an array"
            )
        with jax.numpy_rank_promotion("allow"):
            allowed &= pattern.at(query, jnp.maximum(key, 0))
    return allowed, lost


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
    check_integers(f"{function}: layer", index)
    if index.ndim or not batch:
        expected = "a cache with an axis of layers" if not batch else "one index"
        raise ValueError(f"{function}: layer has shape {index.shape}, expected {expected}")
    if not isinstance(index, Tracer) and not 0 <= int(index) < batch[0]:
        raise ValueError(f"{function}: layer is {int(index)}, expected 0 to {batch[0] - 1}")
    return jnp.clip(index, 0, batch[0] - 1).astype(jnp.int32), batch[1:]


def check_integers(argument: str, array: Array) -> None:
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise ValueError(f"{argument} has dtype {array.dtype}, expected an integer dtype")
