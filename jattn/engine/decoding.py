"""Reads from a cache of keys and values."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jattn._options import check_array, named
from jattn.engine.arguments import Call, check
from jattn.engine.cache import KeyValueCache, slot_positions
from jattn.engine.slots import attend_to_slots
from jattn.engine.visible import at_positions, over_slots, seen
from jattn.masks import window
from jattn.masks.algebra import Mask


def attend_to_cache(
    query: Float[Array, "*b t h k"],
    cache: KeyValueCache,
    *,
    query_offset: int | Int[Array, "*b"] | None = None,
    mask: Bool[Array, "*b h t s"] | Mask | None = None,
    bias: Float[Array, "*b h t s"] | None = None,
    scale: float | Float[Array, ""] | None = None,
    logits_soft_cap: float | None = None,
    local_window_size: int | tuple[int | None, int | None] | None = None,
    sinks: Float[Array, " h"] | None = None,
    chunk_size: int | None = None,
) -> Float[Array, "*b t h v"]:
    """Computes attention of the latest tokens' queries over the keys and values in `cache`.

    `extend_cache` comes first. A query attends to the keys up to its own position, in a rolling
    cache to those of its window and to the first tokens. So it gets what it would get in one pass
    over the whole sequence.

    Args:
        query: [*b t h k].
        query_offset: position of the first query. By default the queries are those of the latest
            chunk, its padding included, if it has `t` tokens, and of the last `t` tokens otherwise.
            A query at a position that holds no token gets zero.
        mask: hides further keys: a pattern of `jattn.masks`, by position, or an array over the
            slots (see `slot_positions`).
        bias: added to the scores, over the slots; -inf is the same as a mask.
        scale: multiplies the scores; 1 / √k by default.
        logits_soft_cap: bounds the scores, `cap tanh(scores / cap)`; None is no bound.
        local_window_size: number of tokens before its own that a query may attend to.
        sinks: a logit for each head that takes weight and has no value.
        chunk_size: slots in a block; by default a block stays in a CPU's cache. A number of at
            least the capacity computes all slots at once.

    Returns:
        The context. It is NaN for a query that should attend to a token which is lost: more tokens
        were stored under `jax.jit` than fit, or a rolling cache is asked about the past.

    Raises:
        ValueError: if arguments disagree about an axis, an option is not what it should be, or
            there are more queries than a chunk may have.
    """
    _check(query, cache)
    for name, array in (("query", query), ("mask", mask), ("bias", bias), ("sinks", sinks)):
        check_array(f"attend_to_cache: {name}", array)
    key, value = (
        jax.ShapeDtypeStruct((*x.shape[:-3], *(x.shape[axis] for axis in (-2, -3, -1))), x.dtype)
        for x in (cache.key, cache.value)
    )
    offset = _latest(cache, np.shape(query)[-3]) if query_offset is None else query_offset
    offset = max(min(offset, 2**31 - 1), -(2**31)) if isinstance(offset, int) else offset
    with named("attend_to_cache"):
        call = check(
            Call(
                *(query, key, value, bias, None if isinstance(mask, Mask) else mask, scale),
                local_window_size=local_window_size,
                query_offset=offset,
                logits_soft_cap=logits_soft_cap,
                sinks=sinks,
                chunk_size=chunk_size,
            ),
            shapes_alone=True,
        )
    return _attend(
        call.query,
        cache,
        call.query_offset,
        mask if isinstance(mask, Mask) else call.mask,
        call.bias,
        scale,
        call.sinks,
        None if call.local_window_size is None else call.local_window_size[0],
        logits_soft_cap=None if logits_soft_cap is None else float(logits_soft_cap),
        chunk_size=chunk_size,
    )


@functools.partial(jax.jit, static_argnames=("logits_soft_cap", "chunk_size"))
def _attend(
    query, cache: KeyValueCache, offset, mask, bias, scale, sinks, left, **options
) -> Float[Array, "*b t h v"]:
    batch, count = cache.length.shape, math.prod(cache.length.shape)
    length = cache.length.reshape(count, 1)
    queries = _row(offset, batch) + jnp.arange(query.shape[-3], dtype=jnp.int32)[None]
    keys = slot_positions(cache).reshape(count, cache.slots)
    allowed, lost = seen(cache, queries, keys, length)
    patterns = [mask] if isinstance(mask, Mask) else []
    for pattern in patterns if left is None else [*patterns, window(left, None)]:
        allowed &= at_positions(pattern, queries, keys)
    allowed = allowed[:, None]
    if mask is not None and not isinstance(mask, Mask):
        allowed = allowed & over_slots(mask, query, cache)
    context = attend_to_slots(
        query.reshape(count, *query.shape[-3:]),
        cache.key.reshape(count, *cache.key.shape[-3:]),
        cache.value.reshape(count, *cache.value.shape[-3:]),
        allowed,
        None if bias is None else over_slots(bias, query, cache),
        scale=scale,
        sinks=sinks,
        **options,
    )
    # NaN by division, since `jax_debug_nans` notices a constant that is nowhere taken.
    zero = jnp.zeros((), context.dtype)
    context = context + (zero / jnp.where(lost, zero, 1.0))[:, :, None, None]
    return context.reshape(*batch, *context.shape[1:])


def _latest(cache: KeyValueCache, t: int) -> Int[Array, "*b"]:
    """The position of the first of the latest `t` queries, which may be those of a padded chunk."""
    return jnp.where(cache.chunk_size == t, cache.chunk_start, cache.length - t)


def _row(offset, batch: tuple[int, ...]) -> Int[Array, "b 1"]:
    return jnp.broadcast_to(jnp.asarray(offset).astype(jnp.int32), batch).reshape(
        math.prod(batch), 1
    )


def _check(query, cache: KeyValueCache) -> None:
    """Checks the arguments that the engine's own check would report as keys and values."""
    if not isinstance(cache, KeyValueCache):
        given = type(cache).__name__
        raise ValueError(f"attend_to_cache: cache is a {given}, expected a KeyValueCache")
    batch, size = cache.length.shape, cache.key.shape[-1]
    shape = np.shape(query)
    if len(shape) != len(batch) + 3 or shape[:-3] != batch or shape[-1] != size:
        raise ValueError(
            f"attend_to_cache: query has shape {shape}, expected (*b, t, h, k) with *b={batch},"
            f" k={size} (from cache)"
        )
    if shape[-3] > cache.longest_chunk:
        raise ValueError(
            f"attend_to_cache: {shape[-3]} queries, expected at most {cache.longest_chunk}"
        )
