"""How many verses are told right, how sure that is, and what words alone can do."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments import english_bible
from experiments.fine_tuning.sentences.data import Verses


def standard_error(values: Any, references: Sequence[str]) -> float:
    """Of the mean of `values`, one a verse, over chapters: verses of one chapter go together.

    The linearised error of a mean whose clusters differ in size, √(c / (c - 1) Σ e²) / n, where e
    is a chapter's sum of differences to the mean and c the number of chapters.
    """
    values = np.asarray(values, np.float64)
    sums: dict[str, float] = {}
    for reference, difference in zip(references, values - values.mean(), strict=True):
        chapter = english_bible.chapter(reference)
        sums[chapter] = sums.get(chapter, 0.0) + float(difference)
    squares = sum(total**2 for total in sums.values())
    return math.sqrt(squares * len(sums) / max(1, len(sums) - 1)) / len(values)


def by_words(train: Verses, test: Verses, vocabulary: int) -> np.ndarray:
    """Guesses of multinomial naive Bayes over word pieces, with one added to every count."""
    groups = len(english_bible.GROUPS)
    counts = np.ones((groups, vocabulary))
    for tokens, group in zip(train.tokens, train.groups, strict=True):
        np.add.at(counts[group], tokens, 1)
    likelihoods = np.log(counts / counts.sum(1, keepdims=True))
    prior = np.log(1 + np.bincount(train.groups, minlength=groups))
    scores = [prior + likelihoods[:, tokens].sum(1) for tokens in test.tokens]
    return np.argmax(scores, axis=1)
