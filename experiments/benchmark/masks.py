"""Masks of rows as Boolean arrays, and numbers of allowed pairs."""

import numpy as np

from experiments.benchmark.inputs import Arrays, valid
from experiments.benchmark.rows import Row


def dense(row: Row, inputs: Arrays) -> np.ndarray | None:
    """Returns Bool `[1 or b, t, s]`, True where a query may attend to a key, or None for all."""
    queries, keys = row.shape[1], row.keys or row.shape[1]
    allowed = None
    if row.causal:
        allowed = np.tri(queries, keys, dtype=bool)[None]
    if row.window is not None:
        allowed = allowed & ~np.tri(queries, keys, -row.window - 1, dtype=bool)
    if row.padded:
        allowed = allowed & valid(inputs["lengths"], keys)[:, None]
    if row.documents:
        allowed = (inputs["documents"][:, None] == inputs["documents"])[None]
    return allowed


def dense_unless_causal(row: Row, inputs: Arrays) -> np.ndarray | None:
    """Returns `dense`, or None for a causal mask, for libraries with an option for that alone."""
    return None if only_causal(row) else dense(row, inputs)


def only_causal(row: Row) -> bool:
    return row.causal and row.window is None and not row.padded


def pairs(row: Row, inputs: Arrays) -> int:
    """Returns the number of allowed pairs of query and key, or of steps of a GRU, in a batch."""
    batch, steps = row.shape[:2]
    if row.kind == "bidirectional":
        return int(inputs["lengths"].sum())
    if row.kind != "attention":
        return batch * steps
    if row.documents:
        return int((np.bincount(inputs["documents"]) ** 2).sum())
    if row.padded:
        lengths = inputs["lengths"].astype(int)
        return int((lengths * (lengths + 1) // 2).sum())
    if not row.causal:
        return batch * steps * (row.keys or steps)
    seen = steps if row.window is None else min(steps, row.window + 1)
    return batch * (seen * (seen + 1) // 2 + (steps - seen) * seen)
