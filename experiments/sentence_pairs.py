"""Sentences and their translations, word by word."""

from typing import NamedTuple


class Sentence(NamedTuple):
    """Words and punctuation marks; `spaced` is True for those after a space."""

    words: tuple[str, ...]
    spaced: tuple[bool, ...]

    @property
    def text(self) -> str:
        """Returns the sentence as it is printed."""
        pairs = zip(self.words, self.spaced, strict=True)
        return "".join(" " * space + word for word, space in pairs).strip()


class Pair(NamedTuple):
    """A sentence and its translation.

    `marks` is True for the words of the target that are punctuation. `links` are pairs of indices
    (source, target) that people linked. `glosses` has a few words of the target's language for
    each word of the source. Both are empty in corpora without them.
    """

    name: str
    source: Sentence
    target: Sentence
    marks: tuple[bool, ...]
    links: frozenset[tuple[int, int]] = frozenset()
    glosses: tuple[str, ...] = ()


class Parts(NamedTuple):
    """Pairs for training, validation and tests."""

    train: list[Pair]
    valid: list[Pair]
    test: list[Pair]
