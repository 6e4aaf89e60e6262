"""Words pronounced by a model, and their errors."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments import dictionary as dictionaries
from experiments.dictionary import Dictionary, Errors
from experiments.pronunciation import model
from experiments.pronunciation.config import Config
from experiments.pronunciation.data import START, spell
from experiments.seq2seq import batches_by_width
from jattn import training

WIDTHS = (8, 12, 20, 40)  # Letters a word is padded to: one compilation each.
AT_ONCE, FEW = 512, 32  # Words in a batch.


class Pronounced(NamedTuple):
    """A word, the phones that the model gives it, and what each phone attended to."""

    word: str
    phones: tuple[str, ...]
    weights: np.ndarray


def pronounce(
    params: model.Params, words: Sequence[str], phones: Sequence[str], config: Config
) -> list[Pronounced]:
    """Returns the likeliest phones of each word, in the order of the words.

    Raises:
        ValueError: if a word has anything but letters and apostrophes, or is too long.
    """
    spelled = [spell(word) for word in words]
    lengths = list(map(len, spelled))
    if max(lengths) > WIDTHS[-1]:
        raise ValueError(f"word is {max(words, key=len)!r}, expected at most {WIDTHS[-1]} letters")
    pronounced: list[Pronounced] = [None] * len(words)  # type: ignore[list-item]
    # Batches are full, so that every call has one of a few shapes.
    at_once = AT_ONCE if len(words) > FEW else FEW
    for width, rows in batches_by_width(lengths, WIDTHS, at_once):
        empty = [np.zeros(0, np.int32)] * (at_once - len(rows))
        letters, counts = training.pad_to([spelled[row] for row in rows] + empty, width)
        spoken = model.pronounce(params, letters, counts, config=config, max_steps=width + 4)
        tokens, ends, weights = map(np.asarray, spoken)
        for place, row in enumerate(rows):
            end = ends[place]
            # The start is never learned as an output, but a new model may say it: no phone.
            steps = [step for step in range(end) if tokens[place, step] > START]
            said = tuple(phones[int(tokens[place, step]) - START - 1] for step in steps)
            steps += [end] if end < weights.shape[1] else []
            seen = weights[place, steps, : lengths[row]]
            pronounced[row] = Pronounced(words[row], said, seen)
    return pronounced


def errors(pronounced: Sequence[Pronounced], dictionary: Dictionary) -> Errors:
    """Returns errors against the closest of each word's pronunciations."""
    return dictionaries.errors(((said.word, said.phones) for said in pronounced), dictionary)
