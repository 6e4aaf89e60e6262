"""The dictionary's words, and the phones that a model gives them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments import dictionary as dictionaries
from experiments.command import check_count
from experiments.dictionary import Dictionary
from experiments.fine_tuning.pronunciation import model
from experiments.fine_tuning.pronunciation.config import Config
from experiments.fine_tuning.pronunciation.pretrained import PHONE_TOKENS, phones_of, spell
from experiments.seq2seq import batches_by_width
from jattn import training

WIDTHS = (10, 16, 41)  # Letters and end that a word is padded to: one compilation each.
AT_ONCE, FEW = 512, 32  # Words in a batch.

Said = list[tuple[str, tuple[str, ...]]]


def read_words() -> Dictionary:
    """Reads words of letters alone: the published model has no token for an apostrophe."""
    dictionary = dictionaries.read_dictionary()
    words = {word: said for word, said in dictionary.pronunciations.items() if "'" not in word}
    return dictionary._replace(pronunciations=words)


def check(dictionary: Dictionary, config: Config) -> None:
    """Refuses options that ask for more words than there are.

    Raises:
        ValueError: naming the option.
    """
    words = list(dictionary.pronunciations)
    split = dictionaries.split(words, "stem")
    check_count("drawn", config.drawn, len(words), "words")
    check_count("tuned", config.tuned, len(split["valid"]), "words to tune on")
    check_count("tested", config.tested, len(split["test"]), "words to test on")


def parts(dictionary: Dictionary, config: Config) -> dict[str, list[str]]:
    """Returns words to train on, to tune on and to test on; no stem is in two of them."""
    split = dictionaries.split(list(dictionary.pronunciations), "stem")
    for name, count in (("valid", config.tuned), ("test", config.tested)):
        split[name] = sample(split[name], count or len(split[name]), config.seed)
    return split


def sample(words: list[str], count: int, seed: int) -> list[str]:
    """Returns `count` of the words, drawn at random."""
    drawn = np.random.default_rng(seed).permutation(len(words))[:count]
    return [words[index] for index in drawn]


def batches(
    words: Sequence[str], dictionary: Dictionary, config: Config
) -> training.BucketedBatches:
    """Returns batches of every pronunciation of every word."""
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
    """Tokens of a word's phones, attention of these and of the end, and log p of them all."""

    tokens: np.ndarray
    weights: np.ndarray
    score: float


def pronounce(params: model.Params, words: Sequence[str]) -> list[Pronounced]:
    """Returns the likeliest phones of each word, in the order of the words."""
    spelled = [spell(word) for word in words]
    pronounced: list[Any] = [None] * len(words)
    # Batches are full, so that every call has one of a few shapes.
    at_once = AT_ONCE if len(words) > FEW else FEW
    for width, rows in batches_by_width(list(map(len, spelled)), WIDTHS, at_once):
        filled = [spelled[row] for row in rows] + [spelled[rows[0]]] * (at_once - len(rows))
        letters, lengths = training.pad_to(filled, width)
        arrays = map(np.asarray, model.pronounce(params, letters, lengths))
        for row, tokens, count, weights, score in zip(rows, *arrays, strict=False):
            seen = weights[: count + 1, : len(spelled[row])]
            pronounced[row] = Pronounced(tokens[:count], seen, float(score))
    return pronounced


def scores(params: model.Params, words: Sequence[str]) -> np.ndarray:
    """Returns log p of each word's likeliest phones."""
    return np.array([word.score for word in pronounce(params, words)])


def said(params: model.Params, words: Sequence[str]) -> Said:
    """Returns each word with its phones."""
    pronounced = pronounce(params, words)
    return [(word, phones_of(said.tokens)) for word, said in zip(words, pronounced, strict=True)]
