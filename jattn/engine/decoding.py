"""Reads from a cache of keys and values."""

import functools
from typing import Any, Literal, TypedDict, Unpack, overload

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jattn._options import check_array, check_options, named
from jattn._varying import varying_as
from jattn.biases.algebra import Bias
from jattn.caches.cache import (
    KeyValueCache,
    check_cache,
    in_layer,
    over_axes,
    positions_of,
    visible_slots,
)
from jattn.engine.arguments import Call, check
from jattn.engine.merge import merge_attention
from jattn.engine.operands import Settings
from jattn.engine.slots import BLOCK, Attended, Static, attend_to_all, block_size, in_blocks
from jattn.masks import window
from jattn.masks.algebra import Mask


class Options(TypedDict, total=False):
    """Options of `attend_to_cache`, as its docstring describes them."""

    query_offset: int | Int[Array, "*b"] | None
    is_causal: bool
    mask: Bool[Array, "*b h t s"] | Mask | None
    bias: Float[Array, "*b h t s"] | Bias | None
    scale: float | Float[Array, ""] | None
    logits_soft_cap: float | None
    local_window_size: int | tuple[int | None, int | None] | None
    sinks: Float[Array, " h"] | None
    layer: int | Int[Array, ""] | None
    chunk_size: int | None


@overload
def attend_to_cache(
    query: Float[Array, "*b t h k"],
    cache: KeyValueCache,
    *,
    return_residual: Literal[False] = ...,
    return_weights: Literal[False] = ...,
    **options: Unpack[Options],
) -> Float[Array, "*b t h v"]: ...
@overload
def attend_to_cache(
    query: Float[Array, "*b t h k"],
    cache: KeyValueCache,
    *,
    return_residual: bool = ...,
    return_weights: bool = ...,
    **options: Unpack[Options],
) -> Array | tuple[Array, ...]: ...
def attend_to_cache(
    query: Float[Array, "*b t h k"],
    cache: KeyValueCache,
    *,
    query_offset: int | Int[Array, "*b"] | None = None,
    is_causal: bool = True,
    mask: Bool[Array, "*b h t s"] | Mask | None = None,
    bias: Float[Array, "*b h t s"] | Bias | None = None,
    scale: float | Float[Array, ""] | None = None,
    logits_soft_cap: float | None = None,
    local_window_size: int | tuple[int | None, int | None] | None = None,
    sinks: Float[Array, " h"] | None = None,
    layer: int | Int[Array, ""] | None = None,
    return_residual: bool = False,
    return_weights: bool = False,
    chunk_size: int | None = None,
) -> Array | tuple[Array, ...]:
    """Computes attention of the latest tokens' queries over the keys and values in `cache`.

    `extend_cache` comes first. A query attends to the keys up to its own position, in a rolling
    cache to those of its window and to the first tokens. So it gets what it would get in one pass
    over the whole sequence.

    Args:
        query: [*b t h k].
        query_offset: position of the first query. By default the queries are those of the latest
            chunk, its padding included, if it has `t` tokens, and of the last `t` tokens otherwise.
            A query at a position that holds no token gets zero.
        is_causal: False for queries that are not tokens of the sequence. They attend to all of its
            tokens, may be any number, and their first position is 0 by default.
        mask: hides further keys: a pattern of `jattn.masks`, by position, or an array over the
            slots (see `slot_positions`).
        bias: added to the scores: an array over the slots, in which -inf is the same as a mask, or
            a bias of `jattn.biases`, by position.
        scale: multiplies the scores; 1 / √k by default.
        logits_soft_cap: bounds the scores, `cap tanh(scores / cap)`; None is no bound.
        local_window_size: numbers of tokens before and after its own that a query may attend to;
            one number for both.
        sinks: a logit for each head that takes weight and has no value.
        layer: index into the first axis of the cache, which the other arrays then lack. No other
            layer is read. A traced index is clipped.
        return_residual: also returns the lse [*b t h], for `merge_attention`.
        return_weights: also returns the weights [*b h t s] over the slots.
        chunk_size: slots in a block; by default a block stays in a CPU's cache. A number of at
            least the capacity computes all slots at once.

    Returns:
        The context [*b t h v]. With return_residual or return_weights a tuple of the context, the
        lse and the weights, as far as they are asked for. They are NaN for a query that should
        attend to a token which is lost: more tokens were stored under `jax.jit` than fit, or a
        rolling cache is asked about the past.

    Raises:
        ValueError: if arguments disagree about an axis, an option is not what it should be, there
            are more queries than a chunk may have, or `is_causal` is False for a rolling cache.
    """
    layer, batch = check_cache("attend_to_cache", cache, layer)
    returned = {"return_residual": return_residual, "return_weights": return_weights}
    flags = {"is_causal": is_causal, **returned}
    with named("attend_to_cache"):
        check_options(dict.fromkeys(flags, bool), flags)
    _check_query(query, cache, batch, is_causal)
    for name, array in (("query", query), ("mask", mask), ("bias", bias), ("sinks", sinks)):
        check_array(f"attend_to_cache: {name}", array)
    key, value = (
        jax.ShapeDtypeStruct((*batch, *(x.shape[axis] for axis in (-2, -3, -1))), x.dtype)
        for x in (cache.key, cache.value)
    )
    if isinstance(query_offset, int):
        query_offset = max(min(query_offset, 2**31 - 1), -(2**31))
    with named("attend_to_cache"):
        call = check(
            Call(
                *(query, key, value, bias, None if isinstance(mask, Mask) else mask, scale),
                local_window_size=local_window_size,
                query_offset=0 if query_offset is None else query_offset,
                logits_soft_cap=logits_soft_cap,
                sinks=sinks,
                chunk_size=chunk_size,
            ),
            shapes_alone=True,
        )
    mesh_size = jax.typeof(cache.key).sharding.mesh.size
    cap = None if logits_soft_cap is None else float(logits_soft_cap)
    static = Static(
        Settings(query.shape[-2] // cache.key.shape[-3], cap, 0.0),
        is_causal,
        cache.slots if return_weights else block_size(cache, batch, chunk_size, max(mesh_size, 1)),
        mesh_size <= 1,  # What one example may read would have to be sent to the other devices.
        mesh_size <= 1 and layer is None and chunk_size is None,
        return_weights,
    )
    # Arrays alone: all else is static.
    others: Any = dict.fromkeys(("is_causal", "logits_soft_cap", "dropout_rate", "chunk_size"))
    call = call._replace(key=None, value=None, **others)
    call = call._replace(mask=mask) if isinstance(mask, Mask) else call
    offset = None if query_offset is None else call.query_offset
    context, lse, weights = _attend(call, offset, cache, layer, static)
    extra = [x for x, is_asked in zip((lse, weights), returned.values(), strict=True) if is_asked]
    return (context, *extra) if extra else context


@functools.partial(jax.jit, static_argnames="static")
def _attend(
    call: Call,
    offset: Int[Array, "*b"] | int | None,
    cache: KeyValueCache,
    layer: Int[Array, ""] | None,
    static: Static,
) -> Attended:
    query, mask, bias, sinks = call.query, call.mask, call.bias, call.sinks
    t, heads, size = query.shape[-3:]
    r, lead = static.settings.heads, query.ndim - 3
    length, chunk_start, chunk_size, furthest = (
        in_layer(x, layer)
        for x in (cache.length, cache.chunk_start, cache.chunk_size, cache.furthest)
    )
    if offset is None and static.is_causal:
        offset = jnp.where(chunk_size == t, chunk_start, length - t)
    offset = jnp.asarray(0 if offset is None else offset).astype(jnp.int32)
    offset = jnp.zeros_like(length) + offset  # Sharded as the lengths are.
    patterns = [mask] if isinstance(mask, Mask) else []
    patterns += [] if call.local_window_size is None else [window(*call.local_window_size)]
    visible = functools.partial(visible_slots, cache, t, patterns, static.is_causal)
    allowed, lost = over_axes(visible, lead)(length, furthest, offset)
    if isinstance(bias, Bias):
        of_pairs = functools.partial(_bias_of_slots, bias, cache, t)
        bias = over_axes(of_pairs, lead)(length, furthest, offset)
    allowed = jnp.expand_dims(allowed, -3)
    ranked = lambda x: jnp.asarray(x).reshape((1,) * (allowed.ndim - x.ndim) + x.shape)
    if mask is not None and not isinstance(mask, Mask):
        allowed = allowed & ranked(mask)
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.result_type(query, cache.key, cache.value)
        inner = jnp.promote_types(dtype, jnp.float32)
    allowed = allowed if bias is None else allowed & (ranked(bias) != -jnp.inf)
    shared = allowed.shape[-3] == 1
    if not shared:  # Sharded as the heads of the queries are.
        allowed = allowed | jnp.swapaxes(jnp.zeros_like(query, bool).any(-1, keepdims=True), -3, -2)
    bias = None if bias is None else jnp.where(allowed, ranked(bias), 0.0).astype(inner)
    # A loop's carry varies over the mesh axes of `jax.shard_map` that any of its inputs does.
    scale = jnp.asarray(max(size, 1) ** -0.5 if call.scale is None else call.scale, inner)
    arrays = query.astype(inner), cache.key, cache.value, allowed, bias, scale
    query, keys, values, allowed, bias, scale = varying_as(arrays, sinks)
    in_groups = lambda x, axis: x.reshape(*x.shape[:axis], heads // r, r, *x.shape[axis + 1 :])
    if not shared:
        allowed, bias = jax.tree.map(lambda x: in_groups(x, lead), (allowed, bias))
    arrays = in_groups(query, lead + 1), keys, values, allowed, bias  # Queries [*b t g r k].

    def attend(*arrays: Array | None, all_read: bool = False) -> Attended:
        of_group = functools.partial(attend_to_all, static.settings, scale, all_read=all_read)
        pairs = None if shared else 0
        of_heads = jax.vmap(of_group, (1, 0, 0, pairs, pairs), Attended._make((1, 1, 0)))
        return over_axes(of_heads, lead)(*arrays)

    blocks = lambda: in_blocks(static, attend, layer, *arrays)
    if static.block >= cache.slots:
        found = attend(arrays[0], in_layer(keys, layer), in_layer(values, layer), allowed, bias)
    elif static.in_place and query[..., 0].size * cache.slots <= BLOCK and keys.dtype == inner:
        # Keys that are all read need not be zeroed, which would copy them.
        whole = lambda: attend(*arrays, all_read=True)._replace(weights=None)
        found = lax.cond(allowed.any((-3, -2)).all(), whole, blocks)
    else:
        found = blocks()
    output, lse, weights = found
    weights = weights if static.returns_weights else None
    if sinks is not None:  # One more key for each head, whose value is zero.
        sinks = sinks.astype(inner).reshape((1,) * (lead + 1) + (heads // r, r))
        output, lse = merge_attention(
            output, lse, jnp.zeros_like(output), jnp.zeros_like(lse) + sinks
        )
        factor = jnp.moveaxis(jnp.exp(found.lse - lse), lead, -1)[..., None]
        weights = None if weights is None else weights * factor
    # NaN by division, since `jax_debug_nans` notices a constant that is nowhere taken.
    zero = jnp.zeros((), inner)
    spoil = zero / jnp.where(lost, zero, 1.0)
    output = output.reshape(*query.shape[:-1], output.shape[-1]) + spoil[..., None, None]
    lse = lse.reshape(query.shape[:-1]) + spoil[..., None]
    if weights is not None:
        weights = weights.reshape(*query.shape[:-3], heads, t, cache.slots)
        weights = (weights + jnp.expand_dims(spoil, (-3, -1))).astype(dtype)
    return Attended(output.astype(dtype), lse, weights)


def _bias_of_slots(
    bias: Bias,
    cache: KeyValueCache,
    t: int,
    length: Int[Array, ""],
    furthest: Int[Array, ""],
    first_query: Int[Array, ""],
) -> Float[Array, "h t s"]:
    """A bias of distances, for the tokens in the slots of one sequence."""
    keys = positions_of(cache, length, furthest)
    queries = first_query + jnp.arange(t, dtype=jnp.int32)
    return bias.of_distances(keys[None] - queries[:, None])


def _check_query(
    query: Array, cache: KeyValueCache, batch: tuple[int, ...], is_causal: bool
) -> None:
    """Checks the arguments that the engine's own check would report as keys and values."""
    size, shape = cache.key.shape[-1], np.shape(query)
    if len(shape) != len(batch) + 3 or shape[:-3] != batch or shape[-1] != size:
        raise ValueError(
            f"attend_to_cache: query has shape {shape}, expected (*b, t, h, k) with *b={batch},"
            f" k={size} (from cache)"
        )
    if is_causal and shape[-3] > cache.longest_chunk:
        raise ValueError(
            f"attend_to_cache: {shape[-3]} queries, expected at most {cache.longest_chunk}"
        )
    if not is_causal and cache.window is not None:
        raise ValueError("attend_to_cache: is_causal is False, expected True for a rolling cache")
