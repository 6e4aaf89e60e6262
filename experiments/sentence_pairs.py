"""Sentences and their translations, word by word."""

from typing import NamedTuple


class Sentence(NamedTuple):
    """Words, marks of punctuation among them; `spaced` says whether a space stands before each."""

    words: tuple[str, ...]
    spaced: tuple[bool, ...]

    @property
    def text(self) -> str:
        """The sentence as it is printed."""
        pairs = zip(self.words, self.spaced, strict=True)
        return "".join(" " * space + word for word, space in pairs).strip()


class Pair(NamedTuple):
    """A sentence and its translation.

    `marks` says which words of the target are punctuation. `links` are pairs of places (source,
    target) from 0 that people linked, and `glosses` has a few words of the target's language for
    each word of the source; both are empty where there are none.
    """

    name: str
    source: Sentence
    target: Sentence
    marks: tuple[bool, ...]
    links: frozenset[tuple[int, int]] = frozenset()
    glosses: tuple[str, ...] = ()


class Parts(NamedTuple):
    """Pairs to train on, to choose by and to test on."""

    train: list[Pair]
    valid: list[Pair]
    test: list[Pair]
