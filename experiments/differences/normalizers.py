"""Measurements of normalizers, compiled with a product that gives their scores."""

from collections.abc import Callable

import numpy as np

ROWS, KEYS = 17, 19  # XLA compiles larger arrays in another way.


def nan_rows(function: Callable, dtype: type, size: float) -> str:
    """Counts the rows of weights that hold NaN, for finite scores of about `size`."""
    draws = np.random.default_rng(0).standard_normal((ROWS, KEYS))
    weights = np.asarray(function((draws * size).astype(dtype), dtype(0.3)))
    count = int(np.isnan(weights).any(axis=-1).sum())
    return f"{count} of {ROWS} rows" if count else "none"


def float32_scores(function: Callable) -> str:
    return nan_rows(function, np.float32, 1e10)


def float64_scores(function: Callable) -> str:
    return nan_rows(function, np.float64, 1e100)


def empty_row(function: Callable) -> str:
    """Returns the weights of a row of which every score is -inf."""
    weights = np.asarray(function(np.full((1, KEYS), -np.inf), 0.3))[0]
    if np.isnan(weights).any():
        return "NaN"
    return "something else" if weights.any() else "zeros"


COLUMNS = {
    "NaN from float32 scores of 1e10": float32_scores,
    "NaN from float64 scores of 1e100": float64_scores,
    "row of -inf": empty_row,
}
