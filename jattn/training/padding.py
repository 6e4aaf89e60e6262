"""Sequences of unequal length as arrays of few shapes."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def pad_to(
    sequences: Sequence[Any], length: int, *, value: float = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Stacks sequences `[s ...]` into an array `[b length ...]`; returns it and the lengths `[b]`.

    Python numbers become int32 or float32, as in jax; NumPy arrays keep their dtype.

    >>> padded, lengths = pad_to([[3, 1, 4], [1]], 4)
    >>> padded.tolist(), lengths.tolist()
    ([[3, 1, 4, 0], [1, 0, 0, 0]], [3, 1])

    Raises:
        ValueError: there is no sequence, one is longer than `length`, or their features disagree.
    """
    arrays = [_as_array(sequence) for sequence in sequences]
    if not arrays:
        raise ValueError("pad_to: there are no sequences")
    features = arrays[0].shape[1:]
    for index, array in enumerate(arrays):
        if array.ndim == 0 or array.shape[1:] != features or len(array) > length:
            expected = ", ".join(["s", *map(str, features)])
            raise ValueError(
                f"pad_to: sequence {index} has shape {array.shape}, expected ({expected})"
                f" with s at most length={length}"
            )
    # An empty list has no dtype of its own: it would make integers into floats.
    dtype = np.result_type(*[a.dtype for a in arrays if a.size] or [arrays[0].dtype])
    padded = np.full((len(arrays), length, *features), value, dtype)
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    return padded, np.array([len(array) for array in arrays], np.int32)


def _as_array(sequence):
    if isinstance(sequence, np.ndarray | jax.Array):
        return np.asarray(sequence)
    array = np.asarray(sequence)
    return array.astype({"i": np.int32, "f": np.float32}.get(array.dtype.kind, array.dtype))


def length_mask(lengths: Any, length: int) -> jax.Array:
    """True at the first `lengths` places of `length`, along a new last axis.

    >>> length_mask(np.array([2, 0]), 3).tolist()
    [[True, True, False], [False, False, False]]
    """
    places = jnp.arange(length, dtype=jnp.int32)
    return jnp.less(*jnp.broadcast_arrays(places, jnp.asarray(lengths, jnp.int32)[..., None]))


def length_buckets(lengths: Sequence[int], count: int) -> tuple[int, ...]:
    """At most `count` sizes that hold sequences of these lengths with the least padding in all.

    Each sequence goes to the smallest size that holds it; the last size is the largest length.
    Exact, by dynamic programming over the distinct lengths.

    >>> length_buckets([2, 2, 3, 3, 3, 9], 2)
    (3, 9)

    Raises:
        ValueError: there are no lengths, one is negative, or `count` is less than 1.
    """
    sizes, uses = np.unique(np.asarray(lengths, np.int64), return_counts=True)
    if not len(sizes) or sizes[0] < 0 or count < 1:
        raise ValueError(
            "length_buckets: expected at least one length, none negative, and a count of at least 1"
        )
    held = np.concatenate([[0], np.cumsum(uses)])
    # cost[j] is the least area for the j shortest distinct lengths with the buckets so far.
    cost = np.concatenate([[0], sizes * held[1:]])
    splits = []
    for _ in range(1, min(count, len(sizes))):
        choices = [cost[:j] + sizes[j - 1] * (held[j] - held[:j]) for j in range(1, len(cost))]
        splits.append([0, *(int(c.argmin()) for c in choices)])
        cost = np.concatenate([[0], [c.min() for c in choices]])
    chosen, end = [int(sizes[-1])], len(sizes)
    for split in reversed(splits):
        end = split[end]
        if end:
            chosen.append(int(sizes[end - 1]))
    return tuple(reversed(chosen))
