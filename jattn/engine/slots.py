"""Attention of few queries to many stored keys: each is read once, a block of slots at a time."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jattn._varying import varying_as
from jattn.engine.block import Hidden, Operands, Place, Settings, read
from jattn.engine.merge import MergedAttention, merge_attention

# A block is copied and then multiplied, and should stay in a processor's cache between the two:
# with 32 MiB of it, blocks of four times as many numbers took three times as long.
NUMBERS_IN_A_BLOCK = 2**20


class Grouped(NamedTuple):
    """The arrays of an example, or of a batch of them; `r` query heads share a key-value head."""

    query: Float[Array, "g r t k"]
    key: Float[Array, "g s k"]
    value: Float[Array, "g s v"]
    allowed: Bool[Array, "#g #r t s"]
    bias: Float[Array, "#g #r t s"] | None


def attend_to_slots(
    query: Float[Array, "b t h k"],
    key: Float[Array, "b g s k"],
    value: Float[Array, "b g s v"],
    allowed: Bool[Array, "b #h t s"],
    bias: Float[Array, "b #h t s"] | None = None,
    *,
    scale: float | Float[Array, ""] | None = None,
    logits_soft_cap: float | None = None,
    sinks: Float[Array, " h"] | None = None,
    chunk_size: int | None = None,
) -> Float[Array, "b t h v"]:
    """Softmax attention to the slots that `allowed` keeps; nothing else is seen, not even NaN.

    A block that no query of its example may read is not read: time follows what is stored, not
    the room there is. `chunk_size` is the number of slots in a block.
    """
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.result_type(query, key, value)
        inner = jnp.promote_types(dtype, jnp.float32)
    # What one varies over, all do: under `jax.vmap` a choice makes of what enters it such arrays.
    arrays = varying_as(_grouped(query, key, value, allowed, bias, scale, inner))
    (batch, t, heads, size), (groups, slots) = query.shape, key.shape[1:3]
    numbers = groups * max(size, value.shape[-1])
    block = chunk_size or max(16, NUMBERS_IN_A_BLOCK // max(numbers, 1) // 8 * 8)
    if slots <= block and (chunk_size or batch * slots * numbers <= NUMBERS_IN_A_BLOCK):
        found = _at_once(logits_soft_cap, arrays)
    else:
        few = batch * heads * t * slots <= NUMBERS_IN_A_BLOCK and key.dtype == value.dtype == inner
        in_blocks = lambda arrays: _in_blocks(min(block, slots), logits_soft_cap, arrays)
        if chunk_size is None and few:  # What is all read need not be zeroed, nor copied for that.
            whole = lambda arrays: _at_once(logits_soft_cap, arrays, all_read=True)
            found = MergedAttention(
                *jax.lax.cond(allowed.any((1, 2)).all(), whole, in_blocks, arrays)
            )
        else:
            found = in_blocks(arrays)
    if sinks is not None:  # One more key for each head, whose value is zero.
        sinks = sinks.astype(inner).reshape(1, *found.lse.shape[1:3], 1)
        sinks = jnp.broadcast_to(sinks, found.lse.shape)
        found = merge_attention(*found, jnp.zeros_like(found.output), sinks)
    context = jnp.moveaxis(found.output, 3, 1)
    return context.reshape(batch, t, heads, value.shape[-1]).astype(dtype)


def _grouped(query, key, value, allowed, bias, scale, inner) -> Grouped:
    """Query heads beside the key-value head that they share, scaled; a bias of -inf is a mask."""
    batch, t, heads, size = query.shape
    groups, slots = key.shape[1:3]
    shared = heads // max(groups, 1)
    if bias is not None:
        allowed = allowed & (bias != -jnp.inf)
        bias = jnp.where(allowed, bias, 0.0).astype(inner)
    reads = jnp.swapaxes(allowed.any(-1), 1, 2)[..., None]
    factor = jnp.asarray(max(size, 1) ** -0.5 if scale is None else scale, inner)
    query = jnp.where(reads, query, 0.0).astype(inner) * factor
    query = jnp.moveaxis(query.reshape(batch, t, groups, shared, size), 1, 3)

    def of_group(array):
        heads = (1, 1) if array.shape[1] == 1 else (groups, shared)
        return array.reshape(batch, *heads, t, slots)

    return Grouped(query, key, value, *jax.tree.map(of_group, (allowed, bias)))


def _at_once(cap: float | None, arrays: Grouped, all_read: bool = False) -> MergedAttention:
    """All slots of all examples; products with two batch axes would take four times as long."""
    batch, groups = arrays.key.shape[:2]

    def joined(array: Array) -> Array:
        spread = jnp.broadcast_to(array, (batch, groups, *array.shape[2:]))
        return spread.reshape(batch * groups, *array.shape[2:])

    found = _of_block(jax.tree.map(joined, arrays), cap, all_read)
    return jax.tree.map(lambda x: x.reshape(batch, groups, *x.shape[1:]), found)


def _in_blocks(block: int, cap: float | None, arrays: Grouped) -> MergedAttention:
    of_example = functools.partial(_of_example, block, cap, arrays)
    return jax.lax.map(of_example, varying_as(jnp.arange(arrays.key.shape[0]), arrays))


def _of_example(block: int, cap: float | None, arrays: Grouped, example: Array) -> MergedAttention:
    """The blocks of one example, one after the other; those that nobody reads are left out."""
    key, value = arrays.key, arrays.value
    slots, one = key.shape[2], lambda x: x[example]
    query, allowed, bias = jax.tree.map(one, (arrays.query, arrays.allowed, arrays.bias))
    empty = jnp.zeros((*query.shape[:-1], value.shape[-1]), query.dtype)
    nothing = MergedAttention(empty, jnp.full_like(empty[..., 0], -jnp.inf))
    nothing, firsts = varying_as((nothing, jnp.arange(0, slots, block)), arrays)

    def add(found: MergedAttention, first: Array) -> tuple[MergedAttention, None]:
        start = jnp.minimum(first, slots - block)  # The last block may overlap the one before.
        mine = (start + jnp.arange(block) >= first)[None, None, None]
        cut = lambda x: jax.lax.dynamic_slice_in_dim(x, start, block, -1)
        kept = cut(allowed) & mine

        def at(rows: Array) -> Array:
            sizes = (1, rows.shape[1], block, rows.shape[3])
            return jax.lax.dynamic_slice(rows, (example, 0, start, 0), sizes)[0]

        def read() -> MergedAttention:
            part = Grouped(query, at(key), at(value), kept, jax.tree.map(cut, bias))
            return _of_block(part, cap)

        return merge_attention(*found, *jax.lax.cond(kept.any(), read, lambda: nothing)), None

    return jax.lax.scan(add, nothing, firsts)[0]


def _of_block(arrays: Grouped, cap: float | None, all_read: bool = False) -> MergedAttention:
    """Returns attention of queries [g r t k] over a block of keys, ignoring unreadable keys."""
    query, key, value, allowed, bias = arrays
    g, r, *_ = query.shape
    if not all_read:
        found = allowed.any((1, 2))[..., None]
        key, value = (jnp.where(found, x, 0.0).astype(query.dtype) for x in (key, value))
    spread = lambda x: jnp.broadcast_to(x, (g, *x.shape[1:]))
    bias = None if bias is None else spread(bias)

    def one(query, key, value, bias, allowed):
        operands = Operands(query.swapaxes(0, 1), key, value, bias, None, jnp.ones((), query.dtype))
        return read(Settings(r, cap, 0.0), operands, Hidden(array=allowed), Place())

    context, lse = jax.vmap(one)(query, key, value, bias, spread(allowed))
    return MergedAttention(context.swapaxes(1, 2), lse.swapaxes(1, 2))
