"""The patterns in use: causal, window, lengths, segments, prefix, dilated, blocks, global."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Int

from jattn._options import check_array
from jattn._sizes import as_number
from jattn.masks.algebra import OPERAND_AXES, Mask, first_positions
from jattn.masks.reach import FAR, within_reach

Integer = int | Int[Array, ""]


def causal(offset: Integer = 0) -> Mask:
    """Returns the mask of keys up to the query's own position: key <= query + offset.

    Args:
        offset: position of the first query. 0 is top-left, `s - t` is bottom-right, and the length
            of a cache is for queries that follow it.
    """
    return Mask(up_to_query, (whole("causal", "offset", offset),))


def window(left: Integer | None, right: Integer | None, offset: Integer = 0) -> Mask:
    """Returns the mask of keys within a distance of the query's own position, query + offset.

    Args:
        left: number of keys before that position; None for all of them.
        right: number of keys after it; None for all of them. Its own key is always included.
        offset: position of the first query.
    """
    sides: dict[str, Any] = {"left": left, "right": right}
    for name, side in sides.items():
        sides[name] = None if side is None else whole("window", name, side, 0)
    limits = (None if isinstance(x, int) and x == FAR else x for x in sides.values())
    return Mask(near_query, (*limits, whole("window", "offset", offset)))


def lengths(key_lengths: Integer, query_lengths: Integer | None = None) -> Mask:
    """Returns the mask of the first `key_lengths` keys, for the first `query_lengths` queries.

    Args:
        key_lengths: number of keys before the padding.
        query_lengths: number of queries before the padding; None for all of them.
    """
    key_lengths, query_lengths = as_number(key_lengths), as_number(query_lengths)
    whole("lengths", "key_lengths", key_lengths)
    if query_lengths is not None:
        whole("lengths", "query_lengths", query_lengths)
    return Mask(first_positions, (key_lengths, query_lengths))


def segments(query_ids: Int[Array, " t"], key_ids: Int[Array, " s"] | None = None) -> Mask:
    """Returns the mask of keys with the query's id, as for documents packed into one sequence.

    Args:
        query_ids: an integer for each query. More axes in front are those of `jax.vmap`, or in
            `dot_product_attention` those of the batch: [*b t], ids of each element.
        key_ids: an integer for each key, [s] or [*b s]; None for those of the queries.
    """
    queries = _ids("query_ids", query_ids)
    keys = queries if key_ids is None else _ids("key_ids", key_ids)
    return Mask(same_segment, (queries, keys), (queries.shape[-1], keys.shape[-1]))


def prefix(length: Integer) -> Mask:
    """Returns the mask of the first `length` keys.

    `prefix(n) | causal()` is the mask of a prefix language model.
    """
    return Mask(before_length, (whole("prefix", "length", length, 0),))


def dilated(step: Integer, offset: Integer = 0) -> Mask:
    """Returns the mask of every `step`-th key, counted from the query's position, query + offset.

    Args:
        step: distance of neighbouring keys, at least 1.
        offset: position of the first query.
    """
    operands = whole("dilated", "step", step, 1), whole("dilated", "offset", offset)
    return Mask(at_steps, operands)


def blocks(size: Integer, offset: Integer = 0) -> Mask:
    """Returns the mask of keys in the query's block, where blocks of positions tile the sequence.

    Args:
        size: number of positions in a block, at least 1.
        offset: position of the first query.
    """
    operands = whole("blocks", "size", size, 1), whole("blocks", "offset", offset)
    return Mask(same_block, operands)


def global_tokens(count: Integer, offset: Integer = 0) -> Mask:
    """Returns the mask by which the first `count` positions attend to all and are seen by all.

    Args:
        count: number of these positions.
        offset: position of the first query.
    """
    operands = whole("global_tokens", "count", count, 0), whole("global_tokens", "offset", offset)
    return Mask(of_global_tokens, operands)


def whole(name: str, argument: str, value: Integer, least: int = -FAR) -> Integer:
    value = as_number(value)
    dtype = getattr(value, "dtype", type(value))
    if dtype is bool or not (dtype is int or jnp.issubdtype(dtype, jnp.integer)):
        raise ValueError(f"masks.{name}: {argument} is {value}, expected an integer")
    value = within_reach(value)
    is_known = least > -FAR and np.ndim(value) == 0 and not isinstance(value, Tracer)
    if is_known and int(value) < least:
        raise ValueError(f"masks.{name}: {argument} is {value}, expected at least {least}")
    return value


def _ids(argument: str, ids: Any) -> Any:
    """Returns ids as an array; an empty list has no dtype of its own and is taken."""
    check_array(f"masks.segments: {argument}", ids)
    ids = ids if hasattr(ids, "shape") else np.array(ids, None if len(ids) else int)
    if not jnp.issubdtype(ids.dtype, jnp.integer):
        expected = "an integer dtype"
        raise ValueError(f"masks.segments: {argument} has dtype {ids.dtype}, expected {expected}")
    if not ids.ndim:
        expected = "one id for each position"
        raise ValueError(f"masks.segments: {argument} has shape (), expected {expected}")
    return ids


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


def at_steps(queries, keys, step, offset):
    return (keys - (queries + offset)) % step == 0


def same_block(queries, keys, size, offset):
    return keys // size == (queries + offset) // size


def of_global_tokens(queries, keys, count, offset):
    positions = queries + offset
    return (keys < count) | ((positions >= 0) & (positions < count))


def existing(queries, keys, s):
    """Keeps keys from 0 to before s, for blocks that reach past the ends."""
    return (keys >= 0) & (keys < s)


NUMERIC_RULES = (up_to_query, near_query, before_length, at_steps, same_block, of_global_tokens)
OPERAND_AXES |= dict.fromkeys(NUMERIC_RULES, 0) | {same_segment: 1}
