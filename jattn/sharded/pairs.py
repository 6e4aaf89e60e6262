"""Masks of a chunk of queries and a chunk of keys, parts of a sharded sequence."""

import math
from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

from jaxtyping import Array, Int

from jattn.masks.algebra import Mask, all_of, any_of, array_rule, inverse
from jattn.masks.patterns import near_query, same_segment, up_to_query
from jattn.masks.shifted import shifted

COMPOUND = (all_of, any_of, inverse)


class Pair(NamedTuple):
    """Places of a chunk of queries and a chunk of keys in the whole sequence.

    Attributes:
        query: position of the first query, an array, since it depends on the device.
        key: position of the first key.
        distances: the least and the largest query - key on any device; these are known.
        t: number of queries.
        s: number of keys.
    """

    query: Int[Array, ""]
    key: Int[Array, ""] | int
    distances: tuple[int, int]
    t: int
    s: int


def visible(mask: Mask, pair: Pair) -> Mask | bool:
    """Returns the mask of a pair of chunks; True or False if it shows all or nothing on any device.

    Ids in the mask are those of the chunks. Other arrays are those of the whole sequence.
    """
    if mask.rule is same_segment:
        return mask
    if mask.rule is inverse:
        found = visible(mask.operands[0], pair)
        return ~found if isinstance(found, Mask) else not found
    if mask.rule in (all_of, any_of):
        parts = [visible(part, pair) for part in mask.operands]
        decisive = mask.rule is any_of
        if any(part is decisive for part in parts):
            return decisive
        parts = [part for part in parts if isinstance(part, Mask)]
        either = lambda left, right: left | right if decisive else left & right
        return reduce(either, parts) if parts else not decisive
    if mask.rule not in (up_to_query, near_query):
        return shifted(mask, pair.query, pair.key)
    *sides, offset = mask.operands
    nearest, farthest = pair.distances
    if all(isinstance(x, int | None) for x in mask.operands):
        left, right = sides or (None, 0)
        low = -math.inf if left is None else offset - left
        high = math.inf if right is None else offset + right
        first, last = 1 - pair.t - farthest, pair.s - 1 - nearest  # Of key - query.
        if low <= first and last <= high:
            return True
        if last < low or first > high:
            return False
    distance = nearest
    if nearest != farthest:
        distance = pair.query - pair.key
        distance = distance.astype(offset.dtype) if hasattr(offset, "dtype") else distance
    return Mask(mask.rule, (*sides, offset + distance))


def with_ids(
    mask: Mask, of_queries: Callable[[Array], Array], of_keys: Callable[[Array], Array]
) -> Mask:
    """Returns the mask with other ids in its segments, functions of those it has."""
    if mask.rule is same_segment:
        queries, keys = of_queries(mask.operands[0]), of_keys(mask.operands[1])
        return Mask(same_segment, (queries, keys), (queries.shape[-1], keys.shape[-1]))
    if mask.rule not in COMPOUND:
        return mask
    return Mask(mask.rule, tuple(with_ids(part, of_queries, of_keys) for part in mask.operands))


def key_ids(mask: Mask | None) -> list[Array]:
    """Returns the ids of keys in the mask's segments, in the order in which `with_ids` asks."""
    found: list[Array] = []
    if mask is not None:
        with_ids(mask, lambda ids: ids, lambda ids: found.append(ids) or ids)
    return found


def is_placeless(mask: Mask | bool) -> bool:
    """Returns whether a mask depends on ids alone, and on no positions."""
    if isinstance(mask, bool) or mask.rule is same_segment:
        return True
    return mask.rule in COMPOUND and all(map(is_placeless, mask.operands))


def check_mask(mask: Any, t: int, s: int, lead: tuple[int, ...]) -> None:
    """Raises ValueError for a mask that shards cannot evaluate.

    Args:
        mask: ids in it are of the shards of t positions, other numbers of s positions in all.
        lead: the axes of the batch.
    """
    if not isinstance(mask, Mask):
        raise ValueError(f"mask is a {type(mask).__name__}, expected a mask of jattn.masks")
    if mask.rule is same_segment:
        mask.check(t, t, lead)
    elif mask.rule in COMPOUND:
        for part in mask.operands:
            check_mask(part, t, s, lead)
    elif _has_pairs(mask):
        name = getattr(mask.rule, "__name__", type(mask.rule).__name__)
        raise ValueError(
            f"mask has an array of pairs, or ids in the operands of {name}, expected masks of"
            " positions and masks.segments, combined by & | ~"
        )
    else:
        mask.check(s, s)


def _has_pairs(mask: Mask) -> bool:
    inner = [x for x in mask.operands if isinstance(x, Mask)]
    return mask.rule in (array_rule, same_segment) or any(map(_has_pairs, inner))
