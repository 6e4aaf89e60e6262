"""Keys and values of the tokens so far, for decoding a token or a chunk at a time."""

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
    """Keys and values in slots, and how many tokens there have been; `b` stands for any axes.

    Without `window`, token 0 is in slot 0 and so on. With it, the first slots keep the first
    `first_tokens` tokens for good, and the others are a ring of the latest ones.
    """

    key: Float[Array, "*b g s k"]
    value: Float[Array, "*b g s v"]
    length: Int[Array, "*b"]
    window: int | None = dataclasses.field(default=None, metadata={"static": True})
    first_tokens: int = dataclasses.field(default=0, metadata={"static": True})

    @property
    def slots(self) -> int:
        return self.key.shape[-2]

    @property
    def longest_chunk(self) -> int:
        """How many tokens can be stored and then attend at once."""
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
    """An empty cache for `capacity` tokens; `batch` are the sizes of the leading axes, if any.

    Left out, value_size is key_size.
    """
    slots = (*batch, key_value_heads, capacity)
    key = jnp.zeros((*slots, key_size), dtype)
    value = jnp.zeros((*slots, key_size if value_size is None else value_size), dtype)
    return KeyValueCache(key, value, jnp.zeros(batch, jnp.int32))


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
    """An empty cache for sequences without end: the last `window` tokens and the first few.

    Each token sees itself, the `window` - 1 tokens before it and the `first_tokens`. A chunk of c
    tokens takes c - 1 slots beside the window, so that its first token still finds its own. The
    first tokens are the attention sinks of Xiao et al. (2023), arXiv:2309.17453.

    Raises:
        ValueError: if the window or the chunk is less than 1, or `first_tokens` is negative.
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
    """The position in its sequence of the token in each slot, -1 where there is none."""
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
