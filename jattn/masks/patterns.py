"""The patterns in use: causal, window, lengths, segments, prefix, dilated, blocks, global."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from jattn.masks.algebra import Mask, first_positions
from jattn.masks.reach import FAR, within_reach

Integer = int | Int[Array, ""]


def causal(offset: Integer = 0) -> Mask:
    """Keys up to the query's own position: key <= query + offset.

    Offset 0 is top-left; `s - t` is bottom-right; a cache's length is the third use.
    """
    return Mask(up_to_query, (_whole("causal", "offset", offset),))


def window(left: Integer | None, right: Integer | None, offset: Integer = 0) -> Mask:
    """Keys from `left` before to `right` after the query's position, both ends inclusive.

    The query's own position, query + offset, is seen beside them; None leaves a side open.
    """
    given = {"left": left, "right": right}
    for name, side in given.items():
        if side is not None:
            given[name] = side = _whole("window", name, side)
        if isinstance(side, int | np.integer) and side < 0:
            raise ValueError(f"masks.window: {name} is {side}, expected at least 0 or None")
    near = (None if isinstance(x, int) and x == FAR else x for x in given.values())
    return Mask(near_query, (*near, _whole("window", "offset", offset)))


def lengths(key_lengths: Integer, query_lengths: Integer | None = None) -> Mask:
    """The first `key_lengths` keys, for the first `query_lengths` queries (None: for all)."""
    _whole("lengths", "key_lengths", key_lengths)
    if query_lengths is not None:
        _whole("lengths", "query_lengths", query_lengths)
    return Mask(first_positions, (key_lengths, query_lengths))


def segments(query_ids: Int[Array, " t"], key_ids: Int[Array, " s"] | None = None) -> Mask:
    """Keys whose id equals the query's, as for documents packed into one sequence."""
    both = [
        x if hasattr(x, "shape") else np.array(x) for x in (query_ids, key_ids) if x is not None
    ]
    return Mask(same_segment, (both[0], both[-1]), (both[0].shape[-1], both[-1].shape[-1]))


def prefix(length: Integer) -> Mask:
    """The first `length` keys; `prefix(n) | causal()` is a prefix language model's mask."""
    return Mask(before_length, (_whole("prefix", "length", length, 0),))


def dilated(step: Integer) -> Mask:
    """Every `step`-th key, counted from the query's own position."""
    return Mask(_dilated, (_whole("dilated", "step", step, 1),))


def blocks(size: Integer) -> Mask:
    """Keys of the query's own block, where blocks of `size` positions tile the sequence."""
    return Mask(same_block, (_whole("blocks", "size", size, 1),))


def global_tokens(count: Integer) -> Mask:
    """The first `count` positions see every key and are seen by every query."""
    return Mask(_global_tokens, (_whole("global_tokens", "count", count, 0),))


def _whole(name: str, argument: str, value: Integer, least: int = -FAR) -> Integer:
    dtype = getattr(value, "dtype", type(value))
    if dtype is bool or not (dtype is int or jnp.issubdtype(dtype, jnp.integer)):
        raise ValueError(f"masks.{name}: {argument} is {value}, expected an integer")
    value = within_reach(value)
    if isinstance(value, int | np.integer) and value < least:
        raise ValueError(f"masks.{name}: {argument} is {value}, expected at least {least}")
    return value


def up_to_query(queries, keys, offset):
    return keys <= queries + offset


def near_query(queries, keys, left, right, offset):
    distance = keys - (queries + offset)
    inside = jnp.ones_like(distance, bool) if left is None else distance >= -left
    return inside if right is None else inside & (distance <= right)


def same_segment(queries, keys, query_ids, key_ids):
    return jnp.asarray(query_ids)[queries] == jnp.asarray(key_ids)[keys]


def before_length(queries, keys, length):
    return keys < length


def _dilated(queries, keys, step):
    return (keys - queries) % step == 0


def same_block(queries, keys, size):
    return keys // size == queries // size


def _global_tokens(queries, keys, count):
    return (keys < count) | (queries < count)


def existing(queries, keys, s):
    """The rule that keys lie between 0 and s, for blocks that reach past the ends."""
    return (keys >= 0) & (keys < s)
