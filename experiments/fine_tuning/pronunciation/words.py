"""The dictionary's words, and what a model makes of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments import dictionary as dictionaries
from experiments.dictionary import Dictionary
from experiments.fine_tuning.pronunciation import model
from experiments.fine_tuning.pronunciation.config import Config
from experiments.fine_tuning.pronunciation.pretrained import PHONE_TOKENS, phones_of, spell
from jattn import training

WIDTHS = (10, 16, 41)  # Letters and end that a word is padded to: one compilation each.
AT_ONCE, FEW = 512, 32  # Words in a batch.

Said = list[tuple[str, tuple[str, ...]]]


def read_words() -> Dictionary:
    """Words of letters alone: the published model knows no apostrophe."""
    whole = dictionaries.read_dictionary()
    kept = {word: said for word, said in whole.pronunciations.items() if "'" not in word}
    return whole._replace(pronunciations=kept)


def parts(dictionary: Dictionary, config: Config) -> dict[str, list[str]]:
    """To train on, to tune on and to test on; no stem is in two of them."""
    found = dictionaries.split(list(dictionary.pronunciations), "stem")
    for name, count in (("valid", config.tuned), ("test", config.tested)):
        found[name] = some(found[name], count or len(found[name]), config.seed)
    return found


def some(words: list[str], count: int, seed: int) -> list[str]:
    """As many of them, drawn at random, all if there are fewer."""
    drawn = np.random.default_rng(seed).permutation(len(words))[:count]
    return [words[index] for index in drawn]


def batches(
    words: Sequence[str], dictionary: Dictionary, config: Config
) -> training.BucketedBatches:
    """Of every pronunciation of every word."""
    pairs = [
        (spell(word), np.array([PHONE_TOKENS[phone] for phone in phones], np.int32))
        for word in words
        for phones in dictionary.pronunciations[word]
    ]
    columns = {"letters": [pair[0] for pair in pairs], "phones": [pair[1] for pair in pairs]}
    return training.bucketed_batches(
        columns, config.batch_size, buckets=config.buckets, seed=config.seed
    )


class Pronounced(NamedTuple):
    """Tokens of a word's phones, what they and the end attended to, and log p of them all."""

    tokens: np.ndarray
    weights: np.ndarray
    score: float


def pronounce(params: model.Params, words: Sequence[str]) -> list[Pronounced]:
    """The likeliest phones of each word, in the order of the words."""
    spelled = [spell(word) for word in words]
    found: list[Any] = [None] * len(words)
    at_once, below = AT_ONCE if len(words) > FEW else FEW, 0
    for width in WIDTHS:
        here = [row for row, letters in enumerate(spelled) if below < len(letters) <= width]
        below = width
        for first in range(0, len(here), at_once):
            rows = here[first : first + at_once]
            # A full batch, so that every call has one of a few shapes.
            filled = [spelled[row] for row in rows] + [spelled[rows[0]]] * (at_once - len(rows))
            letters, lengths = training.pad_to(filled, width)
            arrays = map(np.asarray, model.pronounce(params, letters, lengths))
            for row, tokens, count, weights, score in zip(rows, *arrays, strict=False):
                seen = weights[: count + 1, : len(spelled[row])]
                found[row] = Pronounced(tokens[:count], seen, float(score))
    return found


def scores(params: model.Params, words: Sequence[str]) -> np.ndarray:
    return np.array([one.score for one in pronounce(params, words)])


def said(params: model.Params, words: Sequence[str]) -> Said:
    """Each word with its phones."""
    pronounced = pronounce(params, words)
    return [(word, phones_of(one.tokens)) for word, one in zip(words, pronounced, strict=True)]
