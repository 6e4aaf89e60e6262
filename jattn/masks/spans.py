"""Bounds, known before the run, on the keys of each query and of each block of queries.

A rule that is not in the table here is assumed to show every key. Operands that are traced, or
arrays where a number is expected, are unknown before the run.
"""

from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from jattn.masks import patterns
from jattn.masks.algebra import Mask, all_of, any_of, array_rule, first_positions
from jattn.masks.reach import FAR, numbers_like
from jattn.masks.shifted import Shifted


class Interval(NamedTuple):
    """The first key of each query, or block of queries, and the key after the last one."""

    start: Any
    stop: Any


def interval(mask: Mask, queries: Any, s: int, xp: ModuleType) -> Interval | None:
    """Returns the keys of each query if they always form an interval, None if they need not.

    `xp` is NumPy if all operands are known, jax.numpy if some are traced.
    """
    if mask.rule is all_of:
        left, right = (interval(part, queries, s, xp) for part in mask.operands)
        if left is None or right is None:
            return None
        return Interval(xp.maximum(left.start, right.start), xp.minimum(left.stop, right.stop))
    if isinstance(mask.rule, Shifted):
        first_query, first_key, *leaves = numbers_like(queries, mask.operands)
        whole, end = mask.rule.structure.unflatten(leaves), min(s, FAR)
        keys = interval(whole, queries + first_query, end + first_key, xp)
        return keys and Interval(*(xp.clip(x - first_key, 0, end) for x in keys))
    if mask.rule not in _INTERVALS:
        return None
    start, stop = _INTERVALS[mask.rule](xp, queries, s, *numbers_like(queries, mask.operands))
    return Interval(xp.clip(start, 0, s), xp.clip(stop, 0, s))


def spans(mask: Mask | None, starts: np.ndarray, stops: np.ndarray, s: int) -> Interval:
    """Returns a span of keys for each block of queries that holds every key of its queries.

    Block i holds the queries from `starts[i]` to before `stops[i]`. A mask that is unknown before
    the run is assumed to show every key. A block without keys has an empty span. Of arrays with
    axes of a batch it is the span of all elements together.
    """
    everything = Interval(np.zeros_like(starts), np.full_like(starts, s))
    if mask is None:
        return everything
    if mask.rule is all_of:
        left, right = (spans(part, starts, stops, s) for part in mask.operands)
        return _tidy(np.maximum(left.start, right.start), np.minimum(left.stop, right.stop))
    if mask.rule is any_of:
        parts = [spans(part, starts, stops, s) for part in mask.operands]
        parts = [Interval(np.where(p.start < p.stop, p.start, s), p.stop) for p in parts]
        return _tidy(
            np.minimum(parts[0].start, parts[1].start), np.maximum(parts[0].stop, parts[1].stop)
        )
    if not is_known(mask):
        return everything
    if mask.rule in (patterns.same_segment, array_rule):
        seen = [_seen_by(mask, start, stop) for start, stop in zip(starts, stops, strict=True)]
        first = np.array([keys[0] if keys.size else 0 for keys in seen], starts.dtype)
        after = np.array([keys[-1] + 1 if keys.size else 0 for keys in seen], starts.dtype)
        return _tidy(first, after)
    if mask.rule not in _INTERVALS:
        return everything
    # Intervals are monotonic in the query, so the first and last query bound the whole block.
    first = interval(mask, starts, s, np)
    last = interval(mask, np.maximum(stops - 1, starts), s, np)
    assert first is not None
    assert last is not None
    return _tidy(np.minimum(first.start, last.start), np.maximum(first.stop, last.stop))


def _tidy(start: np.ndarray, stop: np.ndarray) -> Interval:
    return Interval(np.where(start < stop, start, 0), np.where(start < stop, stop, 0))


def is_known(mask: Mask) -> bool:
    """Returns whether every operand of the mask is known before the run."""
    known_types = (int, np.integer, np.ndarray, type(None))
    return all(
        is_known(x) if isinstance(x, Mask) else isinstance(x, known_types) for x in mask.operands
    )


def _seen_by(mask: Mask, start: int, stop: int) -> np.ndarray:
    """Returns the keys that a block of queries sees in any element of a batch."""
    if mask.rule is array_rule:
        pairs = mask.operands[0][..., start:stop, :]
        return np.flatnonzero(pairs.any(tuple(range(pairs.ndim - 1))))
    query_ids, key_ids = mask.operands
    batch = np.broadcast_shapes(query_ids.shape[:-1], key_ids.shape[:-1])
    rows = [np.broadcast_to(x, (*batch, x.shape[-1])) for x in (query_ids, key_ids)]
    elements = zip(*(x.reshape(-1, x.shape[-1]) for x in rows), strict=True)
    seen = [np.isin(keys, queries[start:stop]) for queries, keys in elements]
    return np.flatnonzero(np.any(seen, axis=0))


def _causal(xp, queries, s, offset):
    return xp.zeros_like(queries), queries + offset + 1


def _window(xp, queries, s, left, right, offset):
    centre = queries + offset
    start = xp.zeros_like(queries) if left is None else centre - left
    # A centre past all keys and a side that is far would overflow together.
    return start, xp.full_like(queries, s) if right is None else xp.minimum(centre, s) + right + 1


def _lengths(xp, queries, s, key_lengths, query_lengths):
    stop = xp.full_like(queries, 1) * key_lengths
    if query_lengths is not None:
        stop = xp.where(queries < query_lengths, stop, 0)
    return xp.zeros_like(queries), stop


def _prefix(xp, queries, s, length):
    return xp.zeros_like(queries), xp.full_like(queries, 1) * length


def _blocks(xp, queries, s, size, offset):
    start = (queries + offset) // size * size
    # A start past all keys and a size that is far would overflow together.
    return start, xp.minimum(start, s) + size


_INTERVALS = {
    patterns.up_to_query: _causal,
    patterns.near_query: _window,
    first_positions: _lengths,
    patterns.before_length: _prefix,
    patterns.same_block: _blocks,
    patterns.existing: lambda xp, queries, s, count: (xp.zeros_like(queries), count),
}
