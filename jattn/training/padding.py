"""Sequences of unequal length as arrays of few shapes."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jattn.training.counts import check_count, check_counts


def pad_to(
    sequences: Sequence[Any], length: int, *, value: float = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Stacks sequences `[s ...]` into an array `[b length ...]`; returns it and the lengths `[b]`.

    Sequences of Python numbers become int32, or float32 if one holds a float. NumPy and jax arrays
    keep their dtype; several dtypes take NumPy's common one. No number is changed except that
    Python's floats are rounded to float32.

    >>> padded, lengths = pad_to([[3, 1, 4], [1]], 4)
    >>> padded.tolist(), lengths.tolist()
    ([[3, 1, 4, 0], [1, 0, 0, 0]], [3, 1])

    Args:
        length: the size of the padded axis, at least the longest sequence.
        value: the number that fills the rest of each row.

    Raises:
        ValueError: if there is no sequence, if one is longer than `length`, if their features
            disagree, or if the dtype of the result cannot hold a number or `value`.
    """
    length = check_count("pad_to", "length", length)
    arrays = [_as_array(index, sequence) for index, sequence in enumerate(sequences)]
    if not arrays:
        raise ValueError("pad_to: there are no sequences")
    features = next((array.shape[1:] for array in arrays if array.size), arrays[0].shape[1:])
    # An empty list has no features and no dtype of its own: it would make integers into floats.
    arrays = [
        np.zeros((0, *features), np.int32) if _is_empty_list(sequence) else array
        for array, sequence in zip(arrays, sequences, strict=True)
    ]
    for index, array in enumerate(arrays):
        if array.ndim == 0 or array.shape[1:] != features or len(array) > length:
            expected = ", ".join(["s", *map(str, features)])
            raise ValueError(
                f"pad_to: sequence {index} has shape {array.shape}, expected ({expected})"
                f" with s at most length={length}"
            )
    dtype = _common_dtype(arrays, sequences)
    padded = np.full((len(arrays), length, *features), _filler(value, dtype), dtype)
    for index, (row, array) in enumerate(zip(padded, arrays, strict=True)):
        row[: len(array)] = array
        if array.dtype.kind in "iu" and dtype.kind not in "iu" and not _equal(row, array):
            raise ValueError(f"pad_to: sequence {index} holds integers that {dtype} rounds")
    return padded, np.array([len(array) for array in arrays], np.int32)


def _equal(row: np.ndarray, array: np.ndarray) -> bool:
    """Compares as Python does, which rounds no integer to a float."""
    return np.array_equal(row[: len(array)].astype(object), array.astype(object))


def _is_array(sequence: Any) -> bool:
    return isinstance(sequence, np.ndarray | jax.Array)


def _is_empty_list(sequence: Any) -> bool:
    return isinstance(sequence, Sequence) and not len(sequence)


def _as_array(index: int, sequence: Any) -> np.ndarray:
    """Returns a sequence as an array; Python's numbers as int32, float32 or bool."""
    try:
        array = np.asarray(sequence)
    except ValueError:  # Lists of unequal lengths inside.
        raise ValueError(f"pad_to: sequence {index} is no array of numbers") from None
    if not (jnp.issubdtype(array.dtype, np.number) or array.dtype == np.bool_):
        held = f"sequence {index} has dtype {array.dtype}"
        raise ValueError(f"pad_to: {held}, expected numbers that an array can hold")
    if _is_array(sequence):
        return array
    if array.dtype.kind in "iu":
        limits = np.iinfo(np.int32)
        outside = array[(array < limits.min) | (array > limits.max)]
        if outside.size:
            raise ValueError(
                f"pad_to: sequence {index} holds {outside[0]}, expected numbers that int32 holds;"
                " pass an array of another dtype"
            )
        return array.astype(np.int32)
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            narrow = array.astype(np.float32)
        outside = array[np.isinf(narrow) & np.isfinite(array)]
        if outside.size:
            raise ValueError(
                f"pad_to: sequence {index} holds {outside[0]}, expected numbers that float32 holds;"
                " pass an array of another dtype"
            )
        return narrow
    return array


def _common_dtype(arrays: Sequence[np.ndarray], sequences: Sequence[Any]) -> np.dtype:
    """Returns the dtype that holds all of them; Python's integers and floats make float32."""
    python = [
        a.dtype for a, s in zip(arrays, sequences, strict=True) if a.size and not _is_array(s)
    ]
    dtypes = [a.dtype for a, s in zip(arrays, sequences, strict=True) if a.size and _is_array(s)]
    if np.float32 in python and np.int32 in python:
        python = [np.dtype(np.float32)]
    try:
        return np.result_type(*(python + dtypes or [arrays[0].dtype]))
    except TypeError:
        names = sorted({str(dtype) for dtype in python + dtypes})
        raise ValueError(f"pad_to: the dtypes {', '.join(names)} have no common one") from None


def _filler(value: Any, dtype: np.dtype) -> np.ndarray:
    """Returns `value` in `dtype`; it may be rounded, and no more."""
    number = np.asarray(value)
    if number.ndim or not (jnp.issubdtype(number.dtype, np.number) or number.dtype == np.bool_):
        raise ValueError(f"pad_to: value is {value!r}, expected a number")
    is_held = np.can_cast(number.dtype, dtype, "same_kind") or not np.iscomplexobj(number)
    if is_held:
        with np.errstate(all="ignore"):
            filler = number.astype(dtype)
        if jnp.issubdtype(dtype, np.inexact):
            is_held = np.isfinite(filler) or not np.isfinite(number)
        else:
            is_held = filler == number
        if is_held:
            return filler
    raise ValueError(f"pad_to: value is {value!r}, expected a number that {dtype} holds")


def length_mask(lengths: Any, length: int) -> jax.Array:
    """Returns a mask that is True at the first `lengths` of `length` positions, on a new last axis.

    >>> length_mask(np.array([2, 0]), 3).tolist()
    [[True, True, False], [False, False, False]]

    Raises:
        ValueError: if `lengths` are no integers, or if `length` is no count.
    """
    length = check_count("length_mask", "length", length)
    if not isinstance(lengths, jax.Array):
        # In its own dtype, since jax would wrap 64-bit integers around.
        lengths = np.asarray(lengths)
        lengths = lengths if lengths.size else lengths.astype(np.int32)
        if np.issubdtype(lengths.dtype, np.integer):
            lengths = np.clip(lengths, 0, min(length, np.iinfo(lengths.dtype).max))
    if not jnp.issubdtype(lengths.dtype, np.integer):
        raise ValueError(f"length_mask: lengths has dtype {lengths.dtype}, expected integers")
    clipped = jnp.clip(lengths, 0, min(length, int(jnp.iinfo(lengths.dtype).max)))
    positions = jnp.arange(length, dtype=jnp.int32)
    return jnp.less(*jnp.broadcast_arrays(positions, clipped.astype(jnp.int32)[..., None]))


def length_buckets(lengths: Sequence[int] | np.ndarray, count: int) -> tuple[int, ...]:
    """Returns at most `count` sizes that hold sequences of these lengths with the least padding.

    Each sequence goes to the smallest size that holds it; the last size is the largest length.
    The result is exact: dynamic programming over the n distinct lengths, O(n count). The cost of
    a bucket is linear in its size, so each step takes the lower hull of n lines.

    >>> length_buckets([2, 2, 3, 3, 3, 9], 2)
    (3, 9)

    Raises:
        ValueError: if there are no lengths, or if `lengths` or `count` are no counts.
    """
    count = check_count("length_buckets", "count", count, 1)
    sizes, uses = np.unique(check_counts("length_buckets", "lengths", lengths), return_counts=True)
    if not len(sizes):
        raise ValueError("length_buckets: lengths is empty, expected at least one")
    held = [0, *np.cumsum(uses).tolist()]
    sizes = sizes.tolist()
    # cost[j] is the least area for the j shortest distinct lengths with the buckets so far.
    cost = [0, *(size * number for size, number in zip(sizes, held[1:], strict=True))]
    splits = []
    for _ in range(1, min(count, len(sizes))):
        split = _lowest_lines(cost, held, sizes)
        # The last bucket of the j shortest holds those after the i = split[j] shortest.
        cost = [0] + [
            cost[i] + sizes[j - 1] * (held[j] - held[i]) for j, i in enumerate(split) if j
        ]
        splits.append(split)
    chosen, end = [sizes[-1]], len(sizes)
    for split in reversed(splits):
        end = split[end]
        if end:
            chosen.append(sizes[end - 1])
    return tuple(reversed(chosen))


def _lowest_lines(cost: list[int], held: list[int], sizes: list[int]) -> list[int]:
    """Returns for each j > 0 the first i < j with the least cost[i] - held[i] * sizes[j - 1].

    Slopes fall with i and sizes rise with j, so the lowest line only moves on along the hull.
    """
    lines, offsets, slopes, lowest, at = [], [], [], [0], 0  # The hull, and where it is lowest.
    for line, (size, offset, slope) in enumerate(zip(sizes, cost, held, strict=False)):
        # The last line is nowhere the only lowest one if its neighbours cross before it.
        while len(lines) > 1 and (offset - offsets[-2]) * (slopes[-1] - slopes[-2]) <= (
            offsets[-1] - offsets[-2]
        ) * (slope - slopes[-2]):
            del lines[-1], offsets[-1], slopes[-1]
        lines.append(line)
        offsets.append(offset)
        slopes.append(slope)
        last = len(lines) - 1
        at = min(at, last)
        while at < last and offsets[at + 1] - offsets[at] < (slopes[at + 1] - slopes[at]) * size:
            at += 1
        lowest.append(lines[at])
    return lowest
