"""Links between words from attention weights, and their error against human links.

One rule for every system: a target word that is no punctuation gets one link, to the source word
with the largest weight; punctuation gets none. Words without human links count against all alike.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from experiments.sentence_pairs import Pair

Links = frozenset[tuple[int, int]]
Places = Sequence[int] | np.ndarray


def word_weights(weights: np.ndarray, target: Places, source: Places) -> np.ndarray:
    """Averages the rows of a target word's pieces, and sums the columns of a source word's.

    Args:
        weights: `[t s]`, a row for each target piece and a column for each source piece; further
            rows, such as that of the end, and columns are ignored.
        target: the word of each target piece, counted from 0.
        source: the same for the source.
    """
    weights = np.asarray(weights, np.float64)[: len(target), : len(source)]
    to_source = np.eye(int(max(source)) + 1)[np.asarray(source)]
    to_target = np.eye(int(max(target)) + 1)[np.asarray(target)].T
    return to_target @ weights @ to_source / to_target.sum(axis=1, keepdims=True)


def links(weights: np.ndarray, marks: Sequence[bool]) -> Links:
    """Returns the link of each target word that is no punctuation, from weights of words."""
    chosen = np.argmax(weights, axis=1)
    pairs = zip(chosen, marks, strict=True)
    return frozenset((int(g), e) for e, (g, is_mark) in enumerate(pairs) if not is_mark)


def alignment_error_rate(found: Iterable[Links], gold: Iterable[Links]) -> float:
    """Computes AER = 1 - 2 |found ∩ gold| / (|found| + |gold|) over all sentences.

    Och & Ney (2003), Computational Linguistics 29(1), with sure links alone.
    """
    pairs = list(zip(found, gold, strict=True))
    both = sum(len(a & b) for a, b in pairs)
    return 1.0 - 2.0 * both / max(1, sum(len(a) + len(b) for a, b in pairs))


def diagonal(pair: Pair) -> Links:
    """Returns links along the diagonal, at an even pace."""
    words = [place for place, is_mark in enumerate(pair.marks) if not is_mark]
    pace = len(pair.source.words) / max(1, len(words))
    return frozenset((int((order + 0.5) * pace), place) for order, place in enumerate(words))
