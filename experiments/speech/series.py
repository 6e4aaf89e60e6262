"""Recorded series with an official split into training and test, from the wheel `aeon`."""

import zipfile
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from experiments.archive import DataError, wheel
from jattn import training

WHEEL = ("aeon", "1.6.0", "d05227086706f80111ac5fee8de4d5d3115bb3bcfd1c786c8629393055816409")
FOLDER = "aeon/datasets/data"
DATA = {
    "JapaneseVowels": "nine men who say two vowels; which of them speaks",
    "BasicMotions": "a watch that measures motion; which of four activities",
    "ItalyPowerDemand": "power used in the hours of a day; summer or winter",
    "GunPoint": "the height of a hand; whether it draws a gun or points",
}


class Series(NamedTuple):
    """Rows of features over time, one array [length, c] for each example, and their classes."""

    rows: list[np.ndarray]
    labels: np.ndarray


class Split(NamedTuple):
    """The official split, with features standardized by the training part."""

    train: Series
    test: Series
    classes: tuple[str, ...]


def read(name: str) -> Split:
    """Reads a set of `DATA`.

    Raises:
        DataError: the wheel cannot be had, or it lacks the set.
    """
    with wheel(*WHEEL) as archive:
        texts = [_text(archive, f"{FOLDER}/{name}/{name}_{part}.ts") for part in ("TRAIN", "TEST")]
    (train, train_labels), (test, test_labels) = map(parse, texts)
    classes = tuple(sorted(set(train_labels)))
    if not train or not set(test_labels) <= set(classes):
        raise DataError(f"{name}: the test has classes that the training lacks")
    together = np.concatenate(train)
    mean, spread = together.mean(0), together.std(0) + 1e-8
    standardized = lambda rows: [((row - mean) / spread).astype(np.float32) for row in rows]
    numbers = lambda labels: np.array([classes.index(label) for label in labels], np.int32)
    return Split(
        Series(standardized(train), numbers(train_labels)),
        Series(standardized(test), numbers(test_labels)),
        classes,
    )


def parse(text: str) -> tuple[list[np.ndarray], list[str]]:
    """Returns the examples of a file in the format .ts: features over time, and the class."""
    lines = [line.split(":") for line in text.partition("@data")[2].split("\n") if ":" in line]
    rows = [np.array([column.split(",") for column in line[:-1]], float).T for line in lines]
    return rows, [line[-1].strip() for line in lines]


def nearest(split: Split) -> float:
    """Returns the accuracy of the nearest training example, by dynamic time warping.

    Its path may stray from the diagonal without a limit.
    """
    rows, lengths = training.pad_to(split.train.rows, max(map(len, split.train.rows)))
    costs = np.array([warped(test, np.asarray(rows), lengths) for test in split.test.rows])
    return float((split.train.labels[costs.argmin(1)] == split.test.labels).mean())


def warped(
    one: Float[np.ndarray, "t c"],
    others: Float[np.ndarray, "n s c"],
    lengths: Int[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
    """Returns the cost of the cheapest path to each of several padded series."""
    costs = ((one[:, None] - others[:, None]) ** 2).sum(-1)
    n, t, s = costs.shape
    table = np.full((n, t + 1, s + 1), np.inf)
    table[:, 0, 0] = 0.0
    for total in range(2, t + s + 1):  # Antidiagonals, whose entries depend on earlier ones alone.
        i = np.arange(max(1, total - s), min(t, total - 1) + 1)
        j = total - i
        best = np.minimum(table[:, i - 1, j], table[:, i, j - 1])
        table[:, i, j] = costs[:, i - 1, j - 1] + np.minimum(best, table[:, i - 1, j - 1])
    return table[np.arange(n), t, lengths]


def _text(archive: zipfile.ZipFile, name: str) -> str:
    try:
        return archive.read(name).decode("utf-8")
    except KeyError:
        raise DataError(f"{archive.filename}: has no {name}") from None
