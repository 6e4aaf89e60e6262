"""A real task: words to phones, from the CMU Pronouncing Dictionary."""

import numpy as np

from experiments.choosing.examples import LONGER, WIDTHS
from experiments.choosing.tasks import FIRST, Pair, Task
from experiments.dictionary import Dictionary, read_dictionary, split, without_stress

LETTERS = "'abcdefghijklmnopqrstuvwxyz"
SHORTEST, LONGEST = 3, 8  # Letters of the words that are trained.


def pronunciation() -> Task:
    """Returns the task of words and their phones; words of one stem are in one part.

    Raises:
        DataError: the dictionary can neither be found nor downloaded.
    """
    return task(read_dictionary())


def task(dictionary: Dictionary) -> Task:
    """Returns the task of words with one pronunciation, without stress, by number of letters."""
    phones = sorted({p for phones in plain(dictionary).values() for p in phones})
    tokens = {phone: index for index, phone in enumerate(phones, start=FIRST)}
    by_size: dict[int, list[Pair]] = {}
    for word, said in plain(dictionary).items():
        times = 1.0 if len(word) <= LONGEST else max(LONGER)
        if len(said) <= times * WIDTHS[1]:
            pair = (spell(word), [tokens[phone] for phone in said])
            by_size.setdefault(len(word), []).append(pair)
    parts = split(list(dictionary.pronunciations), "stem")
    part_of = {bytes(spell(word)): name for name, part in parts.items() for word in part}

    def draw(rng: np.random.Generator, size: int) -> Pair:
        """Draws the letters of a word and its phones."""
        words = by_size[size]
        return words[int(rng.integers(len(words)))]

    return Task(draw, SHORTEST, LONGEST, lambda source: part_of[bytes(source)])


def plain(dictionary: Dictionary) -> dict[str, tuple[str, ...]]:
    """Returns the words with one pronunciation, without stress."""
    said = {
        word: {without_stress(phones) for phones in variants}
        for word, variants in dictionary.pronunciations.items()
    }
    return {word: next(iter(variants)) for word, variants in said.items() if len(variants) == 1}


def spell(word: str) -> list[int]:
    return [LETTERS.index(letter) for letter in word]
