"""IBM Model 1: Brown, Della Pietra, Della Pietra & Mercer (1993), Computational Linguistics 19(2)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.new_testament import Verse, plain
from experiments.translation.alignment import Links


class Occurrences(NamedTuple):
    """Every pair of a Greek and an English word that stand in one verse: the pair's kind, the
    Greek word's kind, and the place in the text of the English word.
    """

    pairs: np.ndarray
    greek: np.ndarray
    slots: np.ndarray


def align(verses: Sequence[Verse], trained_on: Sequence[Verse], *, rounds: int = 10) -> list[Links]:
    """The likeliest Greek word of each English word of `verses`.

        t(e | g) ∝ Σ over the verses of the expected number of times that g became e

    Estimated by `rounds` of expectation maximisation on the verses of `trained_on`, without an
    empty word. Pairs that stand in none of these have probability 0, and ties go to the first.
    """
    greek, english, kinds = {}, {}, {}
    seen = _occurrences(trained_on, greek, english, kinds)
    chances = _estimate(seen, len(kinds), len(greek), rounds)
    found = []
    for verse in verses:
        here = _occurrences([verse], greek, english, kinds)
        table = np.concatenate([chances, np.zeros(len(kinds) - len(chances))])[here.pairs]
        words = [place for place, is_mark in enumerate(verse.marks) if not is_mark]
        best = table.reshape(len(words), len(verse.greek)).argmax(axis=1)
        found.append(frozenset(zip(best.tolist(), words, strict=True)))
    return found


def _estimate(seen: Occurrences, kinds: int, greek: int, rounds: int) -> np.ndarray:
    """The probability of each kind of pair: t(e | g)."""
    greek_of = np.zeros(kinds, np.int64)
    greek_of[seen.pairs] = seen.greek
    chances = np.full(kinds, 1.0)
    for _ in range(rounds):
        here = chances[seen.pairs]
        here /= np.bincount(seen.slots, here)[seen.slots]
        counts = np.bincount(seen.pairs, here, kinds)
        chances = counts / np.bincount(greek_of, counts, greek)[greek_of]
    return chances


def _occurrences(verses: Sequence[Verse], greek: dict, english: dict, kinds: dict) -> Occurrences:
    """Numbers words and pairs as they come, and adds new ones to the three tables."""
    pairs, sources, slots, slot = [], [], [], 0
    for verse in verses:
        words = [greek.setdefault(plain(word), len(greek)) for word in verse.greek]
        for word, is_mark in zip(verse.english, verse.marks, strict=True):
            if not is_mark:
                target = english.setdefault(word.lower(), len(english))
                pairs += [kinds.setdefault((word, target), len(kinds)) for word in words]
                sources += words
                slots += [slot] * len(words)
                slot += 1
    return Occurrences(np.array(pairs), np.array(sources), np.array(slots))
