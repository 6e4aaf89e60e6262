"""The text of an English Bible as characters, split by book, and its batches."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from experiments.english_bible import read_verses

# Books by their place in print. Kings and Chronicles repeat each other, and so do the first three
# gospels: none of them is held out.
VALID = {8: "Ruth", 32: "Jonah", 50: "Philippians"}
TEST = {23: "Isaiah", 43: "John"}
START = "\n"  # Ends each verse, and precedes the first.


class Text(NamedTuple):
    """The whole text, the books of each part, and the characters of those to train on, in order."""

    whole: str
    train: str
    valid: tuple[str, ...]
    test: tuple[str, ...]
    alphabet: str


def read() -> Text:
    """Reads the text, a verse a line.

    Raises:
        DataError: the wheel cannot be downloaded, or it is another.
        ValueError: a held-out book has a character that the others do not have.
    """
    books: dict[int, str] = {}
    for verse, text in read_verses().items():
        book = int(verse[:2])
        books[book] = books.get(book, "") + text + START
    train = "".join(text for book, text in books.items() if book not in VALID | TEST)
    alphabet = "".join(sorted({START, *train}))
    valid, test = (tuple(books[book] for book in part) for part in (VALID, TEST))
    for text in (*valid, *test):
        encode(text, alphabet)
    return Text("".join(books.values()), train, valid, test, alphabet)


def encode(text: str, alphabet: str) -> np.ndarray:
    """Returns the characters as tokens, their places in the alphabet.

    Raises:
        ValueError: naming the characters that are not in it.
    """
    unseen = sorted(set(text) - set(alphabet))
    if unseen:
        raise ValueError(f"the model has not seen {' '.join(map(repr, unseen))}")
    places = {character: place for place, character in enumerate(alphabet)}
    return np.array([places[character] for character in text], np.int32)


def batches(
    text: str, alphabet: str, *, context: int, batch_size: int, seed: int
) -> Callable[[int], dict[str, np.ndarray]]:
    """Returns a function from a step to its sequences, and the character after each of theirs.

    In an epoch every character is wanted once, except a rest at both ends; where sequences begin
    is drawn anew for each.

    Raises:
        ValueError: the text is too short for a batch.
    """
    tokens = encode(START + text, alphabet)
    count = (len(tokens) - context) // context
    if count < batch_size:
        least = (batch_size + 1) * context
        raise ValueError(f"the text has {len(text):,} characters, a batch needs {least:,}")

    def batch(step: int) -> dict[str, np.ndarray]:
        epoch, place = divmod(step, count // batch_size)
        rng = np.random.default_rng([seed, epoch])
        first = rng.integers(context)
        rows = rng.permutation(count)[place * batch_size :][:batch_size]
        places = first + context * rows[:, None] + np.arange(context)
        return {"before": tokens[places], "wanted": tokens[places + 1]}

    return batch


def windows(count: int, context: int, stride: int) -> list[tuple[int, int, int]]:
    """Returns `(first, last, scored)` of windows that score each of `count` characters once.

    A window reads the characters from `first` to before `last`, and scores those from `scored` on:
    the first window all of its own, every other the last `stride`, or what is left at the end.
    """
    ends = [*range(context, count, stride), count]
    scored = [0, *ends[:-1]]
    return [(max(0, end - context), end, start) for start, end in zip(scored, ends, strict=True)]
