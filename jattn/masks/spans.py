"""Bounds, known before the run, on the keys of each query and of each block of queries.

A rule that is not in the table here is assumed to show every key. Operands that are traced, or
arrays where a number is expected, are unknown before the run.
"""

from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from jattn.masks import neighbourhoods, patterns, sparse
from jattn.masks.algebra import Mask, all_of, any_of, array_rule, first_positions
from jattn.masks.big_bird import in_blocks
from jattn.masks.covers import COVERS
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


def cover(mask: Mask, first: Any, last: Any, s: int, xp: ModuleType) -> Interval | None:
    """Returns an interval that holds every key of the queries from first to last, or None.

    It may hold other keys too. Conjunctions and disjunctions are left to the caller.
    """
    if isinstance(mask.rule, Shifted):
        first_query, first_key, *leaves = numbers_like(first, mask.operands)
        whole, end = mask.rule.structure.unflatten(leaves), min(s, FAR)
        keys = cover(whole, first + first_query, last + first_query, end + first_key, xp)
        return keys and Interval(*(xp.clip(x - first_key, 0, end) for x in keys))
    if mask.rule in COVERS:
        operands = numbers_like(first, mask.operands)
        return Interval(
            *(xp.clip(x, 0, s) for x in COVERS[mask.rule](xp, first, last, s, *operands))
        )
    ends = [interval(mask, queries, s, xp) for queries in (first, last)]
    # Intervals are monotonic in the query, so the first and last query bound the whole range.
    if ends[0] is None or ends[1] is None:
        return None
    start = xp.minimum(ends[0].start, ends[1].start)
    return Interval(start, xp.maximum(ends[0].stop, ends[1].stop))


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
    if mask.rule in (patterns.same_segment, array_rule, in_blocks):
        seen = [_seen_by(mask, start, stop) for start, stop in zip(starts, stops, strict=True)]
        first = np.array([keys[0] if keys.size else 0 for keys in seen], starts.dtype)
        after = np.array([keys[-1] + 1 if keys.size else 0 for keys in seen], starts.dtype)
        return _tidy(first, np.minimum(after, s))
    keys = cover(mask, starts, np.maximum(stops - 1, starts), s, np)
    return everything if keys is None else _tidy(*keys)


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
    if mask.rule is in_blocks:
        pairs, size = mask.operands
        pairs = pairs[..., start // size : -(-stop // size), :]
        return _positions(np.flatnonzero(pairs.any(tuple(range(pairs.ndim - 1)))), size)
    query_ids, key_ids = mask.operands
    batch = np.broadcast_shapes(query_ids.shape[:-1], key_ids.shape[:-1])
    rows = [np.broadcast_to(x, (*batch, x.shape[-1])) for x in (query_ids, key_ids)]
    elements = zip(*(x.reshape(-1, x.shape[-1]) for x in rows), strict=True)
    seen = [np.isin(keys, queries[start:stop]) for queries, keys in elements]
    return np.flatnonzero(np.any(seen, axis=0))


def _positions(blocks: np.ndarray, size: int) -> np.ndarray:
    """Returns the positions of blocks in ascending order."""
    return (blocks[:, None] * size + np.arange(size)).reshape(-1)


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


def _block_window(xp, queries, s, size, left, right, offset):
    block = (queries + offset) // size
    start = xp.zeros_like(queries) if left is None else xp.maximum(block - left, 0) * size
    if right is None:
        return start, xp.full_like(queries, s)
    # Blocks beyond the reach of positions would overflow once they are multiplied.
    return start, (xp.minimum(block + right, FAR // size - 1) + 1) * size


def _nearest(xp, queries, s, size, length, offset):
    return neighbourhoods.ends(xp, queries + offset, size, 1, length)


_INTERVALS = {
    patterns.up_to_query: _causal,
    patterns.near_query: _window,
    first_positions: _lengths,
    patterns.before_length: _prefix,
    patterns.same_block: _blocks,
    sparse.near_block: _block_window,
    neighbourhoods.nearest_keys: _nearest,
    patterns.existing: lambda xp, queries, s, count: (xp.zeros_like(queries), count),
}
