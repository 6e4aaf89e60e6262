"""Errors of a library's result against float64, on the part that is compared."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.benchmark.inputs import Arrays, valid
from experiments.benchmark.rows import Row

WRONG = 1e-3  # float32 stays far below, another function is far above.
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


def errors(result: Result, truth: Result) -> dict[str, Any]:
    """Returns the largest errors of the output and of the gradients.

    The output is compared by its rows, since long averages are smaller than short ones: the error
    is relative to the largest entry of the same row. A gradient may have rows that are zero but for
    rounding: the error is relative to its largest entry.

    Returns:
        `error` of the output. Where there are gradients, `gradient_error` and the name of the
        gradient, `gradient_error_in`.

    Raises:
        ValueError: if an array has another shape, or the output is missing.
    """
    found = {}
    for name in ("output", *(name for name in result if name != "output")):
        actual, expected = np.asarray(result[name], np.float64), np.asarray(truth[name])
        if actual.shape != expected.shape:
            raise ValueError(f"{name} has shape {actual.shape}, expected {expected.shape}")
        by_row = name == "output" and expected.ndim > 0
        scale = abs(expected).max(axis=-1 if by_row else None, keepdims=True)
        difference = np.nan_to_num(abs(actual - expected), nan=np.inf)
        found[name] = float((difference / np.where(scale == 0, 1.0, scale)).max())
    cell = {"error": found.pop("output")}
    if found:
        name = max(found, key=lambda name: found[name])
        cell |= {"gradient_error": found[name], "gradient_error_in": name}
    return cell
