"""IBM Model 1: Brown, Della Pietra, Della Pietra & Mercer (1993), in CL 19(2), 263-311."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.new_testament import Verse, plain
from experiments.translation.alignment import Links


class Words(NamedTuple):
    """Numbers for the words of both languages; `english` has one more for words it lacks."""

    greek: dict[str, int]
    english: dict[str, int]

    def pairs(self, verse: Verse) -> np.ndarray:
        """A number for each pair: a row for each English word, a column for each Greek one."""
        greek = [self.greek.get(plain(word), len(self.greek)) for word in verse.greek]
        english = [self.english.get(word, len(self.english)) for word in said(verse)]
        columns = np.array(greek, np.int64) * (len(self.english) + 1)
        return columns[None] + np.array(english, np.int64)[:, None]


def said(verse: Verse) -> list[str]:
    """The English words in lower case, without punctuation."""
    pairs = zip(verse.english, verse.marks, strict=True)
    return [word.lower() for word, is_mark in pairs if not is_mark]


def align(verses: Sequence[Verse], trained_on: Sequence[Verse], *, rounds: int = 10) -> list[Links]:
    """The likeliest Greek word of each English word of `verses`.

        t(e | g) ∝ Σ over the verses of the expected number of times that g became e

    Estimated by `rounds` of expectation maximisation on the verses of `trained_on`, without an
    empty word. Pairs that stand in none of these have probability 0, and ties go to the first.
    """
    words = Words(
        {word: i for i, word in enumerate({plain(w): 0 for v in trained_on for w in v.greek})},
        {word: i for i, word in enumerate({w: 0 for v in trained_on for w in said(v)})},
    )
    known, chances = _estimate([words.pairs(verse) for verse in trained_on], words, rounds)
    found = []
    for verse in verses:
        pairs = words.pairs(verse)
        place = np.minimum(np.searchsorted(known, pairs), len(known) - 1)
        best = np.where(known[place] == pairs, chances[place], 0.0).argmax(axis=1)
        places = [place for place, is_mark in enumerate(verse.marks) if not is_mark]
        found.append(frozenset(zip(best.tolist(), places, strict=True)))
    return found


def _estimate(tables: list[np.ndarray], words: Words, rounds: int) -> tuple[np.ndarray, np.ndarray]:
    """The pairs that occur, in order, and t(e | g) of each."""
    known, kinds = np.unique(np.concatenate([t.ravel() for t in tables]), return_inverse=True)
    # One slot for each English word of the text: the Greek words of its verse share it.
    lengths = np.concatenate([np.full(len(table), table.shape[1]) for table in tables])
    slots = np.repeat(np.arange(len(lengths)), lengths)
    greek = known // (len(words.english) + 1)
    chances = np.ones(len(known))
    for _ in range(rounds):
        shares = chances[kinds]
        shares /= np.bincount(slots, shares)[slots]
        counts = np.bincount(kinds, shares)
        chances = counts / np.bincount(greek, counts)[greek]
    return known, chances
