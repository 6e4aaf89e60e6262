"""Sentences as pieces, and batches of them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.sentence_pairs import Pair
from experiments.translation import pieces as subwords
from experiments.translation.config import Config
from experiments.translation.pieces import Encoded, Pieces
from jattn import training

MOST_LINKS = 8  # Links of a target word for guided attention; more are rare.


class Example(NamedTuple):
    """A sentence and its translation in pieces."""

    pair: Pair
    source: Encoded
    target: Encoded


def encode(pairs: Sequence[Pair], pieces: Pieces) -> list[Example]:
    """Returns the pieces of both sides of each pair."""
    source, target = map(subwords.processor, pieces)
    return [
        Example(pair, subwords.encode(source, pair.source), subwords.encode(target, pair.target))
        for pair in pairs
    ]


def columns(examples: Sequence[Example]) -> dict[str, list[np.ndarray]]:
    """Returns the columns of a batch; words are counted from 1, and 0 is none.

    `source` and `target` are pieces, `source_words` the word of each source piece, and `links` the
    source words that people linked each target piece's word to.
    """
    return {
        "source": [example.source.pieces for example in examples],
        "source_words": [example.source.words + 1 for example in examples],
        "target": [example.target.pieces for example in examples],
        "links": [_linked(example) for example in examples],
    }


def batches(examples: Sequence[Example], config: Config) -> training.BucketedBatches:
    """Returns batches of the pairs that are short enough.

    Raises:
        ValueError: none is.
    """
    short = [e for e in examples if longest(e) <= config.longest]
    return training.bucketed_batches(
        columns(short), config.batch_size, buckets=config.buckets, seed=config.seed
    )


def longest(example: Example) -> int:
    return max(len(example.source.pieces), len(example.target.pieces))


def _linked(example: Example) -> np.ndarray:
    linked = np.zeros((len(example.pair.target.words), MOST_LINKS), np.int32)
    for source, target in sorted(example.pair.links):
        free = np.flatnonzero(linked[target] == 0)
        if len(free):
            linked[target, free[0]] = source + 1
    return linked[example.target.words]
