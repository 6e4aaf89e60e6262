"""Words pronounced by a model, and how many of them wrongly."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments import dictionary as dictionaries
from experiments.dictionary import Dictionary, Errors
from experiments.pronunciation import model
from experiments.pronunciation.config import Config
from experiments.pronunciation.data import START, spell
from jattn import training

WIDTHS = (8, 12, 20, 40)  # Letters a word is padded to: one compilation each.
AT_ONCE = 512


class Pronounced(NamedTuple):
    """A word, the phones that the model gives it, and what each phone attended to."""

    word: str
    phones: tuple[str, ...]
    weights: np.ndarray


def pronounce(
    params: model.Params, words: Sequence[str], phones: Sequence[str], config: Config
) -> list[Pronounced]:
    """The likeliest phones of each word, in the order of the words.

    Raises:
        ValueError: if a word has anything but letters and apostrophes, or is too long.
    """
    spelled = [spell(word) for word in words]
    if max(map(len, spelled)) > WIDTHS[-1]:
        raise ValueError(f"word is {max(words, key=len)!r}, expected at most {WIDTHS[-1]} letters")
    found: list[Pronounced] = [None] * len(words)  # type: ignore[list-item]
    below = 0
    for width in WIDTHS:
        here = [i for i, letters in enumerate(spelled) if below < len(letters) <= width]
        below = width
        for first in range(0, len(here), AT_ONCE):
            rows = here[first : first + AT_ONCE]
            # A full batch, so that every call has one of a few shapes.
            empty = [np.zeros(0, np.int32)] * ((AT_ONCE if len(words) > 32 else 32) - len(rows))
            letters, lengths = training.pad_to([spelled[i] for i in rows] + empty, width)
            tokens, counts, weights = map(
                np.asarray,
                model.pronounce(params, letters, lengths, config=config, max_steps=width + 4),
            )
            for i, token, count, weight in zip(rows, tokens, counts, weights, strict=False):
                # Neither the start nor a token without a phone is ever learned; leave them out.
                said = tuple(phones[int(t) - START - 1] for t in token[:count] if t > START)
                found[i] = Pronounced(words[i], said, weight[: count + 1, ..., : len(words[i])])
    return found


def errors(pronounced: Sequence[Pronounced], dictionary: Dictionary) -> Errors:
    """Errors against the closest of each word's pronunciations."""
    return dictionaries.errors(((one.word, one.phones) for one in pronounced), dictionary)
