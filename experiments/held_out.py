"""Splits of texts in which a whole, such as a chapter or a page, is in one part."""

import hashlib
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def split(texts: Iterable[T], whole: Callable[[T], str]) -> dict[str, list[T]]:
    """Splits texts to train on, to tune on (5 % of wholes) and to test on (10 %).

    The split is by a hash of the whole's name that never changes.
    """
    parts: dict[str, list[T]] = {"train": [], "valid": [], "test": []}
    for text in texts:
        bucket = int(hashlib.sha256(whole(text).encode()).hexdigest(), 16) % 1000
        parts["test" if bucket < 100 else "valid" if bucket < 150 else "train"].append(text)
    return parts
