"""Cache of keys and values, for decoding a token or a chunk at a time."""

import dataclasses

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jattn._axes import named_axes
from jattn._options import Count, Size


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class KeyValueCache:
    """Keys and values in slots; `b` stands for any axes.

    Without `window`, token 0 is in slot 0 and so on. With it, the first slots keep the first
    `first_tokens` tokens for good, and the others are a ring of the latest ones.

    Attributes:
        length: number of tokens so far.
        chunk_start: position of the first token of the latest chunk.
        chunk_size: number of tokens in the latest chunk, its padding included.
    """

    key: Float[Array, "*b g s k"]
    value: Float[Array, "*b g s v"]
    length: Int[Array, "*b"]
    chunk_start: Int[Array, "*b"]
    chunk_size: Int[Array, "*b"]
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
        batch: sizes of the leading axes, if any.
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
    return KeyValueCache(key, value, length=none(), chunk_start=none(), chunk_size=none())


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
        batch: sizes of the leading axes, if any.
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
    first, slot = cache.first_tokens, jnp.arange(cache.slots, dtype=jnp.int32)
    shape = (*cache.length.shape, cache.slots)
    length = jnp.broadcast_to(cache.length[..., None], shape)
    slot = jnp.broadcast_to(slot.reshape(*(1 for _ in shape[1:]), -1), shape)
    latest = length - 1
    # How many tokens ago the ring was written here: its latest token was at 0.
    age = (latest - slot) % max(cache.slots - first, 1)
    position = jnp.where(slot < first, slot, latest - age)
    kept = (position <= latest) & ((position >= first) | (slot < first))
    return jnp.where(kept, position, -1)
