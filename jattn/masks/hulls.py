"""What a mask is found to show when it runs: to each query an interval that holds all its keys."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from jattn.masks import patterns
from jattn.masks.algebra import Mask, all_of, any_of, array_rule
from jattn.masks.spans import Interval, interval

ROWS = 16


def hull(mask: Mask, queries: Int[Array, " t"], s: int) -> Interval:
    """For each query an interval of keys outside of which it sees none; maybe more than it sees.

    A query that sees nothing may have an empty one, and a rule that is not known shows everything.
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
    found = interval(mask, queries, s, jnp)
    return Interval(jnp.zeros_like(queries), jnp.full_like(queries, s)) if found is None else found


def both(left: Interval, right: Interval) -> Interval:
    """What lies in the one and in the other."""
    return Interval(jnp.maximum(left.start, right.start), jnp.minimum(left.stop, right.stop))


def either(left: Interval, right: Interval, s: int) -> Interval:
    """The least interval that holds the two; empty ones do not count."""
    starts = [jnp.where(one.start < one.stop, one.start, s) for one in (left, right)]
    stops = [jnp.where(one.start < one.stop, one.stop, 0) for one in (left, right)]
    return Interval(jnp.minimum(*starts), jnp.maximum(*stops))


def hull_of_array(seen: Bool[Array, "t s"]) -> Interval:
    """From the first key that a query or a neighbour of it sees to the last.

    A few neighbours have one interval, so that there is no array of positions as large as `seen`.
    """
    t, s = seen.shape
    some = jnp.pad(seen, ((0, -t % ROWS), (0, 0))).reshape(-(-t // ROWS), ROWS, s).any(1)
    keys = jnp.arange(s)
    start = jnp.where(some, keys, s).min(-1, initial=s)
    stop = jnp.where(some, keys + 1, 0).max(-1, initial=0)
    return Interval(jnp.repeat(start, ROWS)[:t], jnp.repeat(stop, ROWS)[:t])


def _segment(queries: Any, query_ids: Any, key_ids: Any) -> Interval:
    """In the sorted ids those equal to the query's are neighbours, in the order of the keys."""
    if not len(key_ids):
        return Interval(jnp.zeros_like(queries), jnp.zeros_like(queries))
    order = jnp.argsort(key_ids).astype(queries.dtype)
    ids, own = key_ids[order], query_ids[queries]
    first = jnp.searchsorted(ids, own)
    after = jnp.searchsorted(ids, own, side="right")
    some = first < after
    start, last = order[jnp.minimum(first, len(ids) - 1)], order[jnp.maximum(after - 1, 0)]
    return Interval(jnp.where(some, start, 0), jnp.where(some, last + 1, 0))
