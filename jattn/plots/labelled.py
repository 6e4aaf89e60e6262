"""A matrix with a label for each row and column, checked and measured."""

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

Labels = Sequence[Any] | None


class Labelled(NamedTuple):
    """Weights as an array, and the labels as strings; none where none were given."""

    weights: np.ndarray
    queries: list[str]
    keys: list[str]


def labelled(function: str, weights: Any, queries: Labels, keys: Labels) -> Labelled:
    """Checks that there is one label for each row and for each column.

    Raises:
        ValueError: naming `function` and the argument.
    """
    weights = np.asarray(weights, np.float64)
    if weights.ndim != 2:
        raise ValueError(f"{function}: weights has shape {weights.shape}, expected (t, s)")
    shown = []
    for name, labels, count, line in (
        ("queries", queries, weights.shape[0], "row"),
        ("keys", keys, weights.shape[1], "column"),
    ):
        labels = [] if labels is None else [str(label) for label in labels]
        if labels and len(labels) != count:
            raise ValueError(
                f"{function}: {name} has {len(labels)} labels, expected {count} (one a {line})"
            )
        shown.append(labels)
    return Labelled(weights, *shown)


def clipped(labels: Iterable[str], longest: int) -> list[str]:
    """The labels, those that are too long cut with an ellipsis."""
    return [x if len(x) <= longest else f"{x[: longest - 1]}…" for x in labels]


def width(label: str) -> int:
    """Columns of a terminal: two for the wide letters of East Asia, none for marks on others."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in label)
    return len(label) + wide - sum(unicodedata.category(x) in ("Mn", "Me", "Cf") for x in label)


def widest(labels: Iterable[str]) -> int:
    return max(map(width, labels), default=0)
