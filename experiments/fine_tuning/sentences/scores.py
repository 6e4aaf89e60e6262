"""Standard errors over chapters or pages, and a naive Bayes baseline."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.fine_tuning.sentences.data import Texts


def standard_error(values: Any, wholes: Sequence[str]) -> float:
    """Returns the standard error of the mean of `values`, clustered by chapter or page.

    It is the linearised error of a mean whose clusters differ in size, √(c / (c - 1) Σ e²) / n,
    where e is a cluster's sum of differences to the mean and c the number of clusters.

    Args:
        values: a value for each text.
        wholes: the chapter or page of each text.
    """
    values = np.asarray(values, np.float64)
    sums: dict[str, float] = {}
    for whole, difference in zip(wholes, values - values.mean(), strict=True):
        sums[whole] = sums.get(whole, 0.0) + float(difference)
    squares = sum(total**2 for total in sums.values())
    return math.sqrt(squares * len(sums) / max(1, len(sums) - 1)) / len(values)


def by_words(train: Texts, test: Texts, vocabulary: int) -> np.ndarray:
    """Guesses by multinomial naive Bayes over word pieces, with one added to every count."""
    groups = int(train.groups.max()) + 1
    counts = np.ones((groups, vocabulary))
    for tokens, group in zip(train.tokens, train.groups, strict=True):
        np.add.at(counts[group], tokens, 1)
    likelihoods = np.log(counts / counts.sum(1, keepdims=True))
    prior = np.log(1 + np.bincount(train.groups, minlength=groups))
    scores = [prior + likelihoods[:, tokens].sum(1) for tokens in test.tokens]
    return np.argmax(scores, axis=1)
