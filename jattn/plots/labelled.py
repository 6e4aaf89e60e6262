"""A matrix with a label for each row and column, checked and measured."""

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

Labels = Sequence[Any] | None
Links = Iterable[tuple[int, int]] | None


class Labelled(NamedTuple):
    """Weights as an array, the labels as strings, and linked cells; none where none were given."""

    weights: np.ndarray
    queries: list[str]
    keys: list[str]
    links: np.ndarray  # A row and a column each.


def labelled(
    function: str, weights: Any, queries: Labels, keys: Labels, links: Links = None
) -> Labelled:
    """Checks that there is one label for each row and for each column, and each link is in reach.

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
    return Labelled(weights, *shown, links=linked(function, links, *weights.shape))


def linked(function: str, links: Links, t: int, s: int) -> np.ndarray:
    """Pairs of a row and a column as an array, in order and each once.

    Raises:
        ValueError: naming `function`, if one is no pair or lies outside of `t` rows, `s` columns.
    """
    pairs = sorted({tuple(pair) for pair in links or ()})
    for pair in pairs:
        inside = len(pair) == 2 and 0 <= pair[0] < t and 0 <= pair[1] < s
        if not inside:
            raise ValueError(
                f"{function}: links has {pair}, expected a row below {t} and a column below {s}"
            )
    return np.array(pairs, np.int64).reshape(-1, 2)


def clipped(labels: Iterable[str], longest: int) -> list[str]:
    """The labels, those wider than so many columns cut with an ellipsis, never between marks."""
    return [x if width(x) <= longest else f"{_start(x, longest - 1)}…" for x in labels]


def _start(label: str, longest: int) -> str:
    """The most letters from the first on that are no wider, with all their marks."""
    return next(
        x for x in (label[:end] for end in range(len(label), -1, -1)) if width(x) <= longest
    )


def width(label: str) -> int:
    """Columns of a terminal: two for the wide letters of East Asia, none for marks on others."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in label)
    return len(label) + wide - sum(unicodedata.category(x) in ("Mn", "Me", "Cf") for x in label)


def widest(labels: Iterable[str]) -> int:
    return max(map(width, labels), default=0)
