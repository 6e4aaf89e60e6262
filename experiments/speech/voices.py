"""Prompts of the telephone system Asterisk in five languages, and their texts.

The recordings are under CC-BY-SA-3.0, the Russian ones under CC-BY-3.0, in Debian's packages
`asterisk-core-sounds-*`. They are fetched when they are first read, and are never part of jattn.
"""

import gzip
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments import debian
from experiments.speech.audio import read_wav

# The folder of each language's voice. The English and the Spanish voice are one woman's.
VOICES = {
    "en": "en_US_f_Allison",
    "fr": "fr_CA_f_June",
    "es": "es_MX_f_Allison",
    "it": "it_IT_m_Carlo",
    "ru": "ru_RU_f_IvrvoiceRU",
}
NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen", "twenty",
)  # fmt: skip
FEWEST_WORDS = 3
SYMBOLS = {"*": " star ", "#": " pound ", "&": " and ", "%": " percent ", "@": " at "}


class Prompt(NamedTuple):
    """A recording and its text; the name is the same in every language."""

    name: str
    text: str
    path: Path

    def samples(self) -> np.ndarray:
        """Returns the recording at 16 kHz."""
        return read_wav(self.path)


def folder(language: str) -> Path:
    """Returns the folder of the unpacked packages of a language."""
    packages = [f"asterisk-core-sounds-{language}-wav", f"asterisk-core-sounds-{language}"]
    return debian.unpacked(f"asterisk-sounds-{language}", packages)


def version(language: str) -> str:
    """Returns the version of a language's packages in the cache."""
    return debian.version(folder(language))


def prompts(language: str) -> list[Prompt]:
    """Returns the prompts of a language that have a recording and a text, sorted by name.

    Raises:
        DataError: the packages cannot be had.
    """
    root = folder(language)
    sounds = root / "usr/share/asterisk/sounds" / VOICES[language]
    name = f"usr/share/doc/asterisk-core-sounds-{language}/core-sounds-{language}.txt.gz"
    texts = read_texts(gzip.decompress((root / name).read_bytes()).decode("utf-8-sig"))
    found = [Prompt(name, text, sounds / f"{name}.wav") for name, text in sorted(texts.items())]
    return [prompt for prompt in found if prompt.path.exists()]


def read_texts(lines: str) -> dict[str, str]:
    """Returns the text of each prompt that is speech, without remarks in brackets."""
    texts = {}
    for line in lines.splitlines():
        name, separator, text = line.partition(":")
        # A text that begins with a bracket describes a sound, unless words follow.
        text = re.sub(r"\[[^]]*\]|\([^)]*\)|<[^>]*>", " ", text)
        if separator and not line.startswith(";") and re.search(r"\w", text):
            texts[name.strip()] = " ".join(text.split())
    return texts


def words(text: str) -> list[str]:
    """Returns the words of an English text, without case and marks; numbers to 20 as words."""
    text = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    for symbol, name in SYMBOLS.items():
        text = text.replace(symbol, name)
    found = (word.strip("'") for word in re.findall(r"[a-z0-9']+", text))
    number = lambda word: NUMBERS[int(word)] if word.isdigit() and int(word) <= 20 else word
    return [number(word) for word in found if word]


def spread_out(count: int) -> list[Prompt]:
    """Returns English prompts of at least three words, evenly through their names.

    Single words, such as letters, are left out: Whisper was not made for them.

    Raises:
        DataError: the packages cannot be had.
        ValueError: there are fewer than `count`.
    """
    found = [prompt for prompt in prompts("en") if len(words(prompt.text)) >= FEWEST_WORDS]
    if count > len(found):
        raise ValueError(f"--prompts is {count:,}, expected at most {len(found):,}, all prompts")
    return [found[place * len(found) // count] for place in range(count)]
