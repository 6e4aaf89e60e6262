"""Softmax attention of few queries to the slots of a cache, each of which is read once."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jattn._varying import varying_as
from jattn.caches.cache import KeyValueCache
from jattn.engine.block import read, weights_of
from jattn.engine.merge import MergedAttention, merge_attention
from jattn.engine.operands import Hidden, Operands, Place, Settings

# Numbers of a block of keys. It is copied and then multiplied, and should stay in a processor's
# cache between the two: with 32 MiB of it, blocks of four times as many took three times as long.
BLOCK = 2**20
# Slots of a block whose keys are small: blocks without tokens are skipped, the others are copied.
LONGEST = 1024


class Static(NamedTuple):
    """Numbers that are known before the run."""

    settings: Settings
    is_causal: bool
    block: int
    skips: bool
    in_place: bool
    returns_weights: bool


class Attended(NamedTuple):
    """Attention over a set of keys, with the weights if these are asked for."""

    output: Float[Array, "*b t h v"]
    lse: Float[Array, "*b t h"]
    weights: Float[Array, "*b h t s"] | None


def attend_to_all(
    settings: Settings,
    scale: Float[Array, ""],
    query: Float[Array, "t r k"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    allowed: Bool[Array, "#r t s"],
    bias: Float[Array, "#r t s"] | None,
    *,
    all_read: bool = False,
) -> Attended:
    """Computes attention of a group's heads; nothing that `allowed` hides is seen, not even NaN.

    `all_read` says that some query may read each key, so none is zeroed, which would copy it.
    """
    query = jnp.where(jnp.moveaxis(allowed.any(-1), 0, 1)[..., None], query, 0.0)
    if not all_read:
        readable = allowed.any((0, 1))[:, None]
        key, value = (jnp.where(readable, x, 0.0) for x in (key, value))
    key, value = key.astype(query.dtype), value.astype(query.dtype)
    tile = Operands(query, key, value, bias, None, scale), Hidden(array=allowed), Place()
    context, lse = read(settings, *tile)
    weights = weights_of(settings, *tile, lse).weights.reshape(*query.shape[:2], len(key))
    return Attended(context, lse, weights.swapaxes(0, 1))


def in_blocks(
    static: Static,
    attend: Callable[..., Attended],
    layer: Int[Array, ""] | None,
    query: Float[Array, "*b t g r k"],
    keys: Float[Array, "... g s k"],
    values: Float[Array, "... g s v"],
    allowed: Bool[Array, "... t s"],
    bias: Float[Array, "... t s"] | None,
) -> Attended:
    """Attends to a block of slots at a time; one that no query of the batch may read is left out.

    So time follows what is stored.
    """
    slots, size = keys.shape[-2], static.block
    zeros = jnp.zeros_like(query).sum(-1, keepdims=True)  # Sharded as the queries are.
    empty = zeros + jnp.zeros((1,) * (query.ndim - 1) + values.shape[-1:], query.dtype)
    nothing = MergedAttention(empty, jnp.full_like(zeros[..., 0], -jnp.inf))
    nothing, firsts = varying_as((nothing, jnp.arange(0, slots, size, dtype=jnp.int32)), query)

    def add(found: MergedAttention, first: Int[Array, ""]) -> tuple[MergedAttention, None]:
        start = jnp.minimum(first, slots - size)  # The last block may overlap the one before.
        cut = lambda x: lax.dynamic_slice_in_dim(x, start, size, -1)
        mine = start + jnp.arange(size, dtype=jnp.int32) >= first
        kept = cut(allowed) & mine.reshape((1,) * (allowed.ndim - 1) + (size,))

        def rows(stored: Float[Array, "... g s n"]) -> Float[Array, "*b g c n"]:
            if layer is None:
                return lax.dynamic_slice_in_dim(stored, start, size, -2)
            shape, zero = (*stored.shape[1:-2], size, stored.shape[-1]), jnp.zeros_like(start)
            place = (layer, *(zero for _ in shape[:-2]), start, zero)
            return lax.dynamic_slice(stored, place, (1, *shape)).reshape(shape)

        def part() -> MergedAttention:
            mine = attend(query, rows(keys), rows(values), kept, jax.tree.map(cut, bias))
            return MergedAttention(mine.output, mine.lse)

        found_here = lax.cond(kept.any(), part, lambda: nothing) if static.skips else part()
        return merge_attention(*found, *found_here), None

    return Attended(*lax.scan(add, nothing, firsts)[0], None)


def block_size(
    cache: KeyValueCache, batch: tuple[int, ...], chunk_size: int | None, devices: int
) -> int:
    """Returns the number of slots of a block."""
    groups, slots, size = cache.key.shape[-3:]
    if chunk_size is not None:
        return min(chunk_size, slots)
    # A size that `jax.export` leaves open counts as 1.
    numbers = (*batch, groups, max(size, cache.value.shape[-1]))
    numbers = math.prod(n for n in numbers if isinstance(n, int))
    size = max(16, devices * BLOCK // max(numbers, 1) // 8 * 8)
    return min(size, devices * LONGEST, slots)
