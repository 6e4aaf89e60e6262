"""Letters and phones as the model's tokens."""

import re

import numpy as np

from experiments.dictionary import Dictionary

LETTERS = {letter: index for index, letter in enumerate("'abcdefghijklmnopqrstuvwxyz")}
STOP, START = 0, 1


def tokens_of(dictionary: Dictionary) -> dict[str, int]:
    """Returns the token of each phone."""
    return {phone: index for index, phone in enumerate(dictionary.phones, start=START + 1)}


def spell(word: str) -> np.ndarray:
    """Returns the letters of a word as tokens.

    Raises:
        ValueError: if the word has anything but letters a to z and apostrophes, or nothing.
    """
    word = word.lower()
    if not re.fullmatch(r"[a-z']+", word):
        raise ValueError(f"word is {word!r}, expected letters a to z and apostrophes")
    return np.array([LETTERS[letter] for letter in word], np.int32)
