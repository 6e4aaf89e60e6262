"""The tasks: sources and targets."""

import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

STOP, START, FIRST = 0, 1, 2  # Tokens from FIRST on are symbols.
SYMBOLS = 12
MARK = FIRST + SYMBOLS  # Comes before the query of a source.

Pair = tuple[Sequence[int], Sequence[int]]


def part_of(source: Sequence[int]) -> str:
    """Returns the part of an example, by its source alone; a fifth is not trained on."""
    bucket = zlib.crc32(bytes(source)) % 10
    return "test" if bucket == 0 else "valid" if bucket == 1 else "train"


class Task(NamedTuple):
    """A task: `draw(rng, size)` is one example.

    shortest, longest: sizes that are trained.
    part_of: the part of the data that a source belongs to.
    """

    draw: Callable[[np.random.Generator, int], Pair]
    shortest: int
    longest: int
    part_of: Callable[[Sequence[int]], str] = part_of


def symbols(rng: np.random.Generator, count: int) -> list[int]:
    return rng.integers(FIRST, FIRST + SYMBOLS, count).tolist()


def copy(rng: np.random.Generator, size: int) -> Pair:
    """Draws symbols; the target is the same."""
    source = symbols(rng, size)
    return source, source


def reverse(rng: np.random.Generator, size: int) -> Pair:
    """Draws symbols; the target has them from last to first."""
    source = symbols(rng, size)
    return source, source[::-1]


def sort(rng: np.random.Generator, size: int) -> Pair:
    """Draws symbols; the target has them sorted."""
    source = symbols(rng, size)
    return source, sorted(source)


def recall(rng: np.random.Generator, size: int) -> Pair:
    """Draws pairs of key and value, no key twice, a mark and a key; the target is its value."""
    keys = (FIRST + rng.permutation(SYMBOLS)[:size]).tolist()
    values = symbols(rng, size)
    asked = int(rng.integers(size))
    pairs = [token for pair in zip(keys, values, strict=True) for token in pair]
    return [*pairs, MARK, keys[asked]], [values[asked]]


def match(rng: np.random.Generator, size: int) -> Pair:
    """Draws symbols, a mark and a symbol that occurs once; the target is the two after it."""
    asked, place = symbols(rng, 1)[0], int(rng.integers(size - 2))
    others = rng.integers(FIRST, FIRST + SYMBOLS - 1, size)
    source = (others + (others >= asked)).tolist()
    source[place] = asked
    return [*source, MARK, asked], source[place + 1 : place + 3]


def expand(rng: np.random.Generator, size: int) -> Pair:
    """Draws symbols; the target has every other one of the alphabet twice."""
    source = symbols(rng, size)
    return source, [x for x in source for _ in range(1 + (x - FIRST) % 2)]


TASKS: dict[str, Task] = {
    "copy": Task(copy, 4, 12),
    "reverse": Task(reverse, 4, 12),
    "sort": Task(sort, 4, 12),
    "recall": Task(recall, 2, 6),
    "match": Task(match, 6, 14),
    "expand": Task(expand, 3, 6),
}
