"""Bounds, computed at run time, on the keys that each query may attend to."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from jattn.masks import patterns
from jattn.masks.algebra import Mask, all_of, any_of, array_rule
from jattn.masks.big_bird import in_blocks
from jattn.masks.spans import Interval, cover, interval

ROWS = 16


def hull(mask: Mask, queries: Int[Array, " t"], s: int) -> Interval:
    """Returns an interval for each query that holds every key it may attend to, and maybe others.

    A query without keys may have an empty interval. A rule that is not known here gives all keys.
    """
    if mask.rule is all_of:
        left, right = (hull(part, queries, s) for part in mask.operands)
        return both(left, right)
    if mask.rule is any_of:
        left, right = (hull(part, queries, s) for part in mask.operands)
        return either(left, right, s)
    if mask.rule is patterns.same_segment:
        return _segment(queries, *(jnp.asarray(ids) for ids in mask.operands))
    if mask.rule is array_rule:
        return hull_of_array(jnp.asarray(mask.operands[0])[queries])
    if mask.rule is in_blocks:
        pairs, size = mask.operands
        blocks = hull_of_array(jnp.asarray(pairs))
        return Interval(*(jnp.minimum(ends[queries // size] * size, s) for ends in blocks))
    found = interval(mask, queries, s, jnp)
    found = cover(mask, queries, queries, s, jnp) if found is None else found
    return Interval(jnp.zeros_like(queries), jnp.full_like(queries, s)) if found is None else found


def both(left: Interval, right: Interval) -> Interval:
    """Returns the intersection of two intervals."""
    return Interval(jnp.maximum(left.start, right.start), jnp.minimum(left.stop, right.stop))


def either(left: Interval, right: Interval, s: int) -> Interval:
    """Returns the smallest interval that holds both; empty ones do not count."""
    starts = [jnp.where(keys.start < keys.stop, keys.start, s) for keys in (left, right)]
    stops = [jnp.where(keys.start < keys.stop, keys.stop, 0) for keys in (left, right)]
    return Interval(jnp.minimum(*starts), jnp.maximum(*stops))


def hull_of_array(seen: Bool[Array, "t s"]) -> Interval:
    """Returns the interval from the first to the last key of each group of neighbouring queries.

    A group of `ROWS` queries has one interval, which avoids an array of positions as large as
    `seen`.
    """
    t, s = seen.shape
    seen_by_group = jnp.pad(seen, ((0, -t % ROWS), (0, 0))).reshape(-(-t // ROWS), ROWS, s).any(1)
    keys = jnp.arange(s)
    start = jnp.where(seen_by_group, keys, s).min(-1, initial=s)
    stop = jnp.where(seen_by_group, keys + 1, 0).max(-1, initial=0)
    return Interval(jnp.repeat(start, ROWS)[:t], jnp.repeat(stop, ROWS)[:t])


def _segment(queries: Any, query_ids: Any, key_ids: Any) -> Interval:
    """Returns the first and last key of each query's id: equal ids are neighbours once sorted."""
    if not len(key_ids):
        return Interval(jnp.zeros_like(queries), jnp.zeros_like(queries))
    order = jnp.argsort(key_ids).astype(queries.dtype)
    sorted_ids, wanted_ids = key_ids[order], query_ids[queries]
    first = jnp.searchsorted(sorted_ids, wanted_ids)
    after = jnp.searchsorted(sorted_ids, wanted_ids, side="right")
    has_keys = first < after
    start, last = order[jnp.minimum(first, len(sorted_ids) - 1)], order[jnp.maximum(after - 1, 0)]
    return Interval(jnp.where(has_keys, start, 0), jnp.where(has_keys, last + 1, 0))
