"""Pictures found without learning: by the picture of the training emoji of the nearest name."""

from collections.abc import Sequence

import numpy as np

from experiments.emoji.data import LANGUAGES, Emoji, difference

MOST = 3  # Characters of the parts of names that are compared.


def parts_of(name: str) -> set[str]:
    """Returns the runs of one to three characters of a name, which begins and ends with a space."""
    padded = f" {name} "
    return {padded[i : i + n] for n in range(1, MOST + 1) for i in range(len(padded) - n + 1)}


def likeness(names: Sequence[str], others: Sequence[str]) -> np.ndarray:
    """Returns the share of parts that two names have in common (Dice): 2 |A ∩ B| / (|A| + |B|)."""
    left, right = [parts_of(name) for name in names], [parts_of(name) for name in others]
    index = {part: i for i, part in enumerate(sorted(set().union(*left, *right)))}
    marks = []
    for sets in (left, right):
        rows = np.zeros((len(sets), len(index)), np.float32)
        for row, parts in zip(rows, sets, strict=True):
            row[[index[part] for part in parts]] = 1.0
        marks.append(rows)
    sizes = marks[0].sum(1)[:, None] + marks[1].sum(1)[None]
    return 2 * (marks[0] @ marks[1].T) / sizes


def nearest_names(train: Emoji, asked: Emoji) -> tuple[np.ndarray, np.ndarray]:
    """Returns the training emoji of the nearest name, and its likeness, both [l m]."""
    nearest, found = [], []
    for language in LANGUAGES:
        alike = likeness(asked.names[language], train.names[language])
        nearest.append(alike.argmax(1))
        found.append(alike.max(1))
    return np.array(nearest), np.array(found)


def scores(train: Emoji, asked: Emoji) -> np.ndarray:
    """Returns how near each picture is to that of the nearest name's emoji, by language [l m n]."""
    apart = difference(train.pictures, asked.pictures)
    return -apart[nearest_names(train, asked)[0]]
