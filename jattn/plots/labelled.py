"""Checks of what a picture is given: weights, labels, links and numbers; and widths of text."""

import math
import numbers
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

Labels = Sequence[Any] | None
Links = Iterable[tuple[int, int]] | None

# Marks that reorder all text after them, also outside of their label.
REORDERING = {*"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"}


class LabelledMatrix(NamedTuple):
    """Weights as an array, labels as strings, and linked cells; empty where there are none."""

    weights: np.ndarray
    queries: list[str]
    keys: list[str]
    links: np.ndarray  # A row and a column each.


def labelled(
    function: str, weights: Any, queries: Labels, keys: Labels, links: Links = None
) -> LabelledMatrix:
    """Checks weights, one label for each row and column, and links inside of the matrix.

    Raises:
        ValueError: naming `function` and the argument.
    """
    weights = weights_of(function, weights)
    if weights.ndim != 2:
        raise ValueError(f"{function}: weights has shape {weights.shape}, expected (t, s)")
    checked = []
    for name, labels, count, line in (
        ("queries", queries, weights.shape[0], "row"),
        ("keys", keys, weights.shape[1], "column"),
    ):
        labels = labels_of(function, name, labels)
        if labels and len(labels) != count:
            raise ValueError(
                f"{function}: {name} has {len(labels)} labels, expected {count} (one a {line})"
            )
        checked.append(labels)
    return LabelledMatrix(weights, *checked, links=linked(function, links, *weights.shape))


def weights_of(function: str, weights: Any) -> np.ndarray:
    """Returns weights as float64.

    Raises:
        ValueError: naming `function`, for an entry that is negative or not finite. Drawn, it would
            take the colour scale away from all others.
    """
    weights = array_of(function, "weights", weights)
    wrong = np.argwhere(~(np.isfinite(weights) & (weights >= 0.0)))
    if len(wrong):
        place = ", ".join(map(str, wrong[0]))
        raise ValueError(
            f"{function}: weights[{place}] is {weights[tuple(wrong[0])]}, "
            "expected a finite number of at least 0"
        )
    return weights


def array_of(function: str, argument: str, array: Any) -> np.ndarray:
    """Returns an array of real numbers as float64.

    Raises:
        ValueError: naming `function` and `argument`, if it is no such array.
    """
    try:
        as_given = np.asarray(array)
        if as_given.dtype.kind not in "cmMOSU":
            return as_given.astype(np.float64)
    except (TypeError, ValueError, RuntimeError):  # Ragged, traced, or still being differentiated.
        raise ValueError(
            f"{function}: {argument} is a {type(array).__name__}, expected an array of real numbers"
        ) from None
    raise ValueError(
        f"{function}: {argument} has dtype {as_given.dtype}, expected an array of real numbers"
    )


def labels_of(function: str, argument: str, labels: Labels) -> list[str]:
    """Returns labels as strings without control characters; none for None.

    Raises:
        ValueError: naming `function` and `argument`, if it is no sequence.
    """
    try:
        return [] if labels is None else [printable(str(label)) for label in labels]
    except TypeError:
        raise ValueError(
            f"{function}: {argument} is {labels!r}, expected a sequence of labels"
        ) from None


def linked(function: str, links: Links, t: int, s: int) -> np.ndarray:
    """Returns pairs of a row and a column as an array, sorted and each once.

    Raises:
        ValueError: naming `function`, if one is no pair or lies outside of `t` rows, `s` columns.
    """
    pairs = set()
    for link in () if links is None else links:
        pair: tuple[Any, ...] = tuple(link) if isinstance(link, Iterable) else (link,)
        whole = len(pair) == 2 and all(map(is_whole, pair))
        if not whole or not (0 <= pair[0] < t and 0 <= pair[1] < s):
            shown = tuple(getattr(place, "item", lambda place=place: place)() for place in pair)
            raise ValueError(
                f"{function}: links has {shown}, expected a row below {t} and a column below {s}"
            )
        pairs.add((int(pair[0]), int(pair[1])))
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)


def is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def check_count(function: str, argument: str, value: Any, *, least: int = 1) -> None:
    """Raises ValueError unless `value` is a whole number of at least `least`."""
    if not is_whole(value) or value < least:
        raise ValueError(
            f"{function}: {argument} is {value!r}, expected a whole number of at least {least}"
        )


def check_above_0(function: str, argument: str, value: Any) -> None:
    """Raises ValueError unless `value` is a finite number above 0."""
    if not (isinstance(value, numbers.Real) and 0.0 < float(value) < math.inf):
        raise ValueError(f"{function}: {argument} is {value!r}, expected a finite number above 0")


def printable(text: str, *, keep: str = "") -> str:
    """Replaces characters that a terminal obeys or that no file can hold, except those in `keep`.

    They become the escapes that Python prints, such as `\\n` for the end of a line. The same
    holds for marks that reorder text and for halves of a surrogate pair.
    """
    return "".join(letter if letter in keep else _printable(letter) for letter in text)


def _printable(letter: str) -> str:
    hidden = unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") or letter in REORDERING
    return letter.encode("unicode_escape").decode() if hidden else letter


def clipped(labels: Iterable[str], longest: int) -> list[str]:
    """Returns labels of at most `longest` columns, cut with an ellipsis and never between marks."""
    return [x if width(x) <= longest else f"{_start(x, longest - 1)}…" for x in labels]


def _start(label: str, longest: int) -> str:
    """Returns the most letters from the first on that fit, with all their marks."""
    return next(
        x for x in (label[:end] for end in range(len(label), -1, -1)) if width(x) <= longest
    )


def width(label: str) -> int:
    """Counts columns of a terminal: two for wide letters of East Asia, none for combining marks."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in label)
    return len(label) + wide - sum(unicodedata.category(x) in ("Mn", "Me", "Cf") for x in label)


def widest(labels: Iterable[str]) -> int:
    return max(map(width, labels), default=0)
