"""The tasks: what is read and what is to be written."""

import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

STOP, START, FIRST = 0, 1, 2  # Tokens from FIRST on are symbols.
SYMBOLS = 12
MARK = FIRST + SYMBOLS  # Stands before what is asked for.

Pair = tuple[Sequence[int], Sequence[int]]


def part_of(source: Sequence[int]) -> str:
    """Where an example belongs, by its source alone: a fifth of them is kept from training."""
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
    """The symbols as they are."""
    source = symbols(rng, size)
    return source, source


def reverse(rng: np.random.Generator, size: int) -> Pair:
    """The symbols from the last to the first."""
    source = symbols(rng, size)
    return source, source[::-1]


def sort(rng: np.random.Generator, size: int) -> Pair:
    """The symbols in their order."""
    source = symbols(rng, size)
    return source, sorted(source)


def recall(rng: np.random.Generator, size: int) -> Pair:
    """Pairs of a key and a value, no key twice, then a mark and a key: the value of that key."""
    keys = (FIRST + rng.permutation(SYMBOLS)[:size]).tolist()
    values = symbols(rng, size)
    asked = int(rng.integers(size))
    pairs = [token for pair in zip(keys, values, strict=True) for token in pair]
    return [*pairs, MARK, keys[asked]], [values[asked]]


def match(rng: np.random.Generator, size: int) -> Pair:
    """Symbols, one of them once, then a mark and that one: the two that followed it."""
    asked, place = symbols(rng, 1)[0], int(rng.integers(size - 2))
    others = rng.integers(FIRST, FIRST + SYMBOLS - 1, size)
    source = (others + (others >= asked)).tolist()
    source[place] = asked
    return [*source, MARK, asked], source[place + 1 : place + 3]


def expand(rng: np.random.Generator, size: int) -> Pair:
    """Every symbol once, and every other one of the alphabet twice."""
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
