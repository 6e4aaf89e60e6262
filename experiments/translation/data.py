"""Verses as pieces, and batches of them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.new_testament import Verse
from experiments.translation import pieces as subwords
from experiments.translation.config import Config
from experiments.translation.pieces import Encoded, Pieces
from jattn import training

MOST_LINKS = 8  # Of one English word that are kept for guided attention; more are rare.


class Example(NamedTuple):
    """A verse in pieces."""

    verse: Verse
    greek: Encoded
    english: Encoded


def encode(verses: Sequence[Verse], pieces: Pieces) -> list[Example]:
    """The pieces of both sides of each verse."""
    greek, english = map(subwords.processor, pieces)
    return [
        Example(
            verse,
            subwords.encode(greek, subwords.greek_words(verse)),
            subwords.encode(english, subwords.english_words(verse)),
        )
        for verse in verses
    ]


def columns(examples: Sequence[Example]) -> dict[str, list[np.ndarray]]:
    """What a batch holds of each verse; words are counted from 1, and 0 is none.

    `greek` and `english` are pieces, `greek_words` the word of each Greek piece, and `links` the
    Greek words that people linked each English piece's word to.
    """
    return {
        "greek": [example.greek.pieces for example in examples],
        "greek_words": [example.greek.words + 1 for example in examples],
        "english": [example.english.pieces for example in examples],
        "links": [_linked(example) for example in examples],
    }


def batches(examples: Sequence[Example], config: Config) -> training.Bucketed:
    """Batches of the verses that are short enough.

    Raises:
        ValueError: none is.
    """
    short = [e for e in examples if longest(e) <= config.longest]
    return training.bucketed_batches(
        columns(short), config.batch_size, buckets=config.buckets, seed=config.seed
    )


def longest(example: Example) -> int:
    return max(len(example.greek.pieces), len(example.english.pieces))


def _linked(example: Example) -> np.ndarray:
    found = np.zeros((len(example.verse.english), MOST_LINKS), np.int32)
    for greek, english in sorted(example.verse.links):
        free = np.flatnonzero(found[english] == 0)
        if len(free):
            found[english, free[0]] = greek + 1
    return found[example.english.words]
