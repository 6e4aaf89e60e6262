"""IBM Model 1: Brown, Della Pietra, Della Pietra & Mercer (1993), in CL 19(2), 263-311."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.sentence_pairs import Pair
from experiments.translation.alignment import Links


class Words(NamedTuple):
    """Numbers of the words of both languages; one more stands for unknown target words."""

    source: dict[str, int]
    target: dict[str, int]

    def pairs(self, pair: Pair) -> np.ndarray:
        """Returns a number for each pair: rows are target words, columns source words."""
        source = [self.source.get(word, len(self.source)) for word in pair.source.words]
        target = [self.target.get(word, len(self.target)) for word in said(pair)]
        columns = np.array(source, np.int64) * (len(self.target) + 1)
        return columns[None] + np.array(target, np.int64)[:, None]


def said(pair: Pair) -> list[str]:
    """Returns the target words in lower case, without punctuation."""
    pairs = zip(pair.target.words, pair.marks, strict=True)
    return [word.lower() for word, is_mark in pairs if not is_mark]


def align(tested: Sequence[Pair], trained_on: Sequence[Pair], *, rounds: int = 10) -> list[Links]:
    """Returns the link of each target word of `tested` to its likeliest source word.

        t(e | f) ∝ Σ over the pairs of the expected number of times that f became e

    Estimated by `rounds` of expectation maximisation on the pairs of `trained_on`, without an
    empty word. Word pairs that occur in none of these have probability 0; ties go to the first.
    """
    words = Words(
        {word: i for i, word in enumerate({w: 0 for v in trained_on for w in v.source.words})},
        {word: i for i, word in enumerate({w: 0 for v in trained_on for w in said(v)})},
    )
    occurring, probabilities = _estimate([words.pairs(pair) for pair in trained_on], words, rounds)
    linked = []
    for pair in tested:
        table = words.pairs(pair)
        place = np.minimum(np.searchsorted(occurring, table), len(occurring) - 1)
        best = np.where(occurring[place] == table, probabilities[place], 0.0).argmax(axis=1)
        places = [place for place, is_mark in enumerate(pair.marks) if not is_mark]
        linked.append(frozenset(zip(best.tolist(), places, strict=True)))
    return linked


def _estimate(tables: list[np.ndarray], words: Words, rounds: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the pairs that occur, in order, and t(e | f) of each."""
    occurring, kinds = np.unique(np.concatenate([t.ravel() for t in tables]), return_inverse=True)
    # One slot for each target word of the text: the source words of its pair share it.
    lengths = np.concatenate([np.full(len(table), table.shape[1]) for table in tables])
    slots = np.repeat(np.arange(len(lengths)), lengths)
    source = occurring // (len(words.target) + 1)
    probabilities = np.ones(len(occurring))
    for _ in range(rounds):
        shares = probabilities[kinds]
        shares /= np.bincount(slots, shares)[slots]
        counts = np.bincount(kinds, shares)
        probabilities = counts / np.bincount(source, counts)[source]
    return occurring, probabilities
