"""Masks of a call as kernels take them: causal, a window, lengths, and the remaining pairs."""

from collections.abc import Iterator
from functools import reduce
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Int

from jattn._sizes import is_certain
from jattn.engine.arguments import Call
from jattn.masks.algebra import Mask, all_of, first_positions
from jattn.masks.patterns import near_query, up_to_query, window


class Structure(NamedTuple):
    """The masks of a call, apart from an array of pairs.

    Attributes:
        is_causal: keys after the query's own position are masked.
        sides: a window that the kernel takes as such.
        query_lengths: each [*b] or one number; kernels are not told, since the rows are zeroed.
        key_lengths: each [*b] or one number.
        rest: a mask that has to be written out as pairs.
    """

    is_causal: bool
    sides: Any
    query_lengths: tuple[Any, ...]
    key_lengths: tuple[Any, ...]
    rest: Mask | None


def structure_of(implementation: str, call: Call) -> Structure:
    """Returns the structure of a call's masks, arguments and masks of `jattn.masks` alike.

    A kernel is never told of a combination under which a row may be empty: what kernels make of an
    empty row differs, and may be NaN. So cuDNN and tokamax get no window together with lengths.
    """
    is_causal, windows, rest = call.is_causal, [], []
    queries, keys = [call.query_seq_lengths], [call.key_value_seq_lengths]
    if call.local_window_size is not None:
        windows.append(window(*call.local_window_size))
    for part in _parts(call.mask) if isinstance(call.mask, Mask) else ():
        operands = part.operands
        if part.rule is up_to_query and _is_zero(operands[0]):
            is_causal = True
        elif part.rule is near_query and _is_zero(operands[2]):
            windows.append(part)
        elif part.rule is first_positions:
            keys.append(operands[0])
            queries.append(operands[1])
        else:
            rest.append(part)
    of_queries, of_keys = (tuple(x for x in some if x is not None) for some in (queries, keys))
    fits = len(windows) == 1 and (not of_keys or implementation == "xla")
    sides = _sides(implementation, call, windows[0], is_causal) if fits else None
    if sides is None:
        rest = [*windows, *rest]
    elif implementation == "cudnn":  # Its windows end at the token itself.
        is_causal, sides = True, (sides[0], 0)
    mask = reduce(lambda x, y: x & y, rest) if rest else None
    return Structure(is_causal, sides, of_queries, of_keys, mask)


def open_sides(call: Call, left: Any, right: Any) -> tuple[Any, Any]:
    """The two sides of a window; an open one is one that reaches past both ends."""
    longest = max(call.query.shape[-3], call.key.shape[-3])
    return longest if left is None else left, longest if right is None else right


def _sides(implementation: str, call: Call, mask: Mask, is_causal: bool) -> Any:
    """The window's sides if the kernel has such a window and no query is without a key."""
    left, right = mask.operands[:2]
    t, s = call.query.shape[-3], call.key.shape[-3]
    if implementation == "xla":
        return open_sides(call, left, right)
    known = all(side is None or isinstance(side, int) for side in (left, right))
    # A query further on would be past all keys of its window.
    reaches = left is None or (known and is_certain(lambda: t <= s + left))
    fits = known and reaches and (implementation == "cudnn" or is_certain(lambda: t == s))
    ends = implementation != "cudnn" or right == 0 or is_causal
    return open_sides(call, left, right) if fits and ends else None


def _parts(mask: Mask) -> Iterator[Mask]:
    if mask.rule is all_of:
        for part in mask.operands:
            yield from _parts(part)
    else:
        yield mask


def shortest(lengths: tuple[Any, ...], batch: tuple[int, ...]) -> Int[Array, "*b"] | None:
    """The least of several lengths, each of a batch or one number; None if there are none."""
    rows = [jnp.broadcast_to(jnp.asarray(x).astype(jnp.int32), batch) for x in lengths]
    return reduce(jnp.minimum, rows) if rows else None


def _is_zero(offset: Any) -> bool:
    return isinstance(offset, int) and offset == 0
