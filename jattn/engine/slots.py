"""Attention of few queries to many stored keys: each is read once, a block of slots at a time."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

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


class Partial(NamedTuple):
    """Softmax over some keys: its maximum, its sum, and the sum of the values so weighted.

    A row that read no key has sum zero, and its maximum means nothing.
    """

    maximum: Float[Array, "g r t"]
    total: Float[Array, "g r t"]
    context: Float[Array, "g r t v"]


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
    arrays = _grouped(query, key, value, allowed, bias, scale, inner)
    (batch, t, heads, size), (groups, slots) = query.shape, key.shape[1:3]
    numbers = groups * max(size, value.shape[-1])
    block = chunk_size or max(16, NUMBERS_IN_A_BLOCK // max(numbers, 1) // 8 * 8)
    of_block = functools.partial(_of_block, cap=logits_soft_cap)
    if slots <= block and (chunk_size or batch * slots * numbers <= NUMBERS_IN_A_BLOCK):
        found = jax.vmap(of_block)(arrays)
    else:
        of_example = functools.partial(_of_example, of_block, min(block, slots), arrays)
        found = jax.lax.map(of_example, jnp.arange(batch))
    if sinks is not None:
        sinks = sinks.astype(inner).reshape(1, *found.total.shape[1:3], 1)
        found = _merge(found, _of_sinks(sinks, found))
    context = found.context / jnp.where(found.total == 0.0, 1.0, found.total)[..., None]
    return jnp.moveaxis(context, 3, 1).reshape(batch, t, heads, value.shape[-1]).astype(dtype)


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


def _of_block(arrays: Grouped, cap: float | None) -> Partial:
    query, key, value, allowed, bias = arrays
    read = allowed.any((1, 2))[..., None]
    key, value = (jnp.where(read, x, 0.0).astype(query.dtype) for x in (key, value))
    scores = jnp.einsum("grtk,gsk->grts", query, key)
    scores = scores if cap is None else cap * jnp.tanh(scores / cap)
    scores = scores if bias is None else scores + bias
    scores = jnp.where(allowed, scores, 0.0)
    lowest = jnp.finfo(scores.dtype).min  # Finite, so that an empty row stays finite.
    # A constant to derivatives: the context does not depend on it.
    maximum = jax.lax.stop_gradient(scores.max(-1, where=allowed, initial=lowest))
    shifted = jnp.where(allowed, scores - maximum[..., None], 0.0)
    exponentials = jnp.where(allowed, jnp.exp(shifted), 0.0)
    return Partial(maximum, exponentials.sum(-1), jnp.einsum("grts,gsv->grtv", exponentials, value))


def _of_example(of_block, block: int, arrays: Grouped, example: Array) -> Partial:
    """The blocks of one example, one after the other; those that nobody reads are left out."""
    key, value = arrays.key, arrays.value
    slots, one = key.shape[2], lambda x: x[example]
    query, allowed, bias = jax.tree.map(one, (arrays.query, arrays.allowed, arrays.bias))
    empty = jnp.zeros((*query.shape[:-1], value.shape[-1]), query.dtype)
    nothing = Partial(empty[..., 0], empty[..., 0], empty)

    def add(found: Partial, first: Array) -> tuple[Partial, None]:
        start = jnp.minimum(first, slots - block)  # The last block may overlap the one before.
        mine = (start + jnp.arange(block) >= first)[None, None, None]
        cut = lambda x: jax.lax.dynamic_slice_in_dim(x, start, block, -1)
        kept = cut(allowed) & mine

        def at(rows: Array) -> Array:
            sizes = (1, rows.shape[1], block, rows.shape[3])
            return jax.lax.dynamic_slice(rows, (example, 0, start, 0), sizes)[0]

        def read() -> Partial:
            return of_block(Grouped(query, at(key), at(value), kept, jax.tree.map(cut, bias)))

        return _merge(found, jax.lax.cond(kept.any(), read, lambda: nothing)), None

    return jax.lax.scan(add, nothing, jnp.arange(0, slots, block))[0]


def _merge(one: Partial, other: Partial) -> Partial:
    mine = jnp.where(one.total == 0.0, other.maximum, one.maximum)
    theirs = jnp.where(other.total == 0.0, mine, other.maximum)
    maximum = jnp.maximum(mine, theirs)
    left, right = jnp.exp(mine - maximum), jnp.exp(theirs - maximum)
    total = left * one.total + right * other.total
    context = left[..., None] * one.context + right[..., None] * other.context
    return Partial(maximum, total, context)


def _of_sinks(sinks: Float[Array, "1 g r 1"], found: Partial) -> Partial:
    """One more key for each head, whose score is its sink and whose value is zero."""
    sinks = jnp.broadcast_to(sinks, found.total.shape)
    maximum = jax.lax.stop_gradient(sinks)
    return Partial(maximum, jnp.exp(sinks - maximum), jnp.zeros_like(found.context))
