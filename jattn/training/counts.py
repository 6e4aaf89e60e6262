"""Counts: whole numbers, checked before anything is computed with them."""

import operator
from typing import Any

import numpy as np


def check_count(function: str, argument: str, value: Any, least: int = 0) -> int:
    """Returns a count as an int.

    Raises:
        ValueError: if `value` is no whole number (a boolean is none), or less than `least`.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        count = operator.index(value)
    except TypeError:
        raise ValueError(f"{function}: {argument} is {value!r}, expected an integer") from None
    if count < least:
        raise ValueError(f"{function}: {argument} is {count}, expected at least {least}")
    return count


def check_counts(function: str, argument: str, values: Any) -> np.ndarray:
    """Returns counts as an array of integers.

    Raises:
        ValueError: if they are of another kind (booleans, floats), or if one is negative.
    """
    counts = np.asarray(values)
    if counts.size and not np.issubdtype(counts.dtype, np.integer):
        raise ValueError(f"{function}: {argument} has dtype {counts.dtype}, expected integers")
    if counts.size and counts.min() < 0:
        raise ValueError(f"{function}: {argument} holds {counts.min()}, expected at least 0")
    return counts.astype(np.int64)
