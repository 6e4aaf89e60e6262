"""Errors of a library's result against float64, on the part that is compared."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.benchmark.inputs import Arrays, valid
from experiments.benchmark.rows import Row

WRONG = 1e-3  # Of the largest entry: float32 stays far below, another function far above.
Result = Mapping[str, Any]


def checked(row: Row, inputs: Arrays, result: Result) -> dict[str, np.ndarray]:
    """Returns the last key-value head and its queries, with zeros past each length."""
    made = {name: np.asarray(array) for name, array in result.items() if array is not None}
    if row.kind == "attention":
        made = {name: last_head(row, name, array) for name, array in made.items()}
    if "lengths" in inputs:
        output = made["output"]
        kept = valid(inputs["lengths"], output.shape[1])
        made["output"] = np.where(kept.reshape(*kept.shape, *[1] * (output.ndim - 2)), output, 0)
    return made


def last_head(row: Row, name: str, array: np.ndarray) -> np.ndarray:
    """Returns the last head of an array `b t h k`, or of a bias `b h t s`."""
    group = row.shape[2] // (row.key_value_heads or row.shape[2])
    if name in ("bias", "d_bias"):
        return array[:, -group:]
    return array[:, :, -group if name in ("query", "output", "d_query", "cotangent") else -1 :]


def error(result: Result, truth: Result) -> tuple[float, str]:
    """Returns the largest difference relative to the array's largest entry, and the array's name.

    Raises:
        ValueError: if an array has another shape, or the output is missing.
    """
    errors = {}
    for name in ("output", *(name for name in result if name != "output")):
        actual, expected = np.asarray(result[name], np.float64), truth[name]
        if actual.shape != expected.shape:
            raise ValueError(f"{name} has shape {actual.shape}, expected {expected.shape}")
        scale = abs(expected).max() or 1.0
        errors[name] = float(np.nan_to_num(abs(actual - expected), nan=np.inf).max() / scale)
    name = max(errors, key=lambda name: errors[name])
    return errors[name], name
