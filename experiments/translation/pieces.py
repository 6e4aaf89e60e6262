"""Subwords by sentencepiece, one model a language, each word encoded alone.

So every piece belongs to one word. A piece that begins with "▁" has a space before it, so decoded
text has its punctuation in the right places.
"""

import hashlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import sentencepiece

from experiments.archive import DataError
from experiments.sentence_pairs import Pair, Sentence
from jattn.atomic import write_atomically

STOP, START, UNKNOWN = 0, 1, 2
NAMES = {"source": "source.model", "target": "target.model"}


class Pieces(NamedTuple):
    """The models of both languages, as bytes."""

    source: bytes
    target: bytes


class Encoded(NamedTuple):
    """A sentence's pieces, and the word that each belongs to, counted from 0."""

    pieces: np.ndarray
    words: np.ndarray


def train(pairs: Sequence[Pair], *, source: int, target: int) -> Pieces:
    """Learns so many pieces of each language from these pairs alone.

    Raises:
        ValueError: the text is too small for so many, or too varied for so few.
    """
    return Pieces(
        _train((word for pair in pairs for word in words(pair.source)), source),
        _train((word for pair in pairs for word in words(pair.target)), target),
    )


def words(sentence: Sentence) -> list[str]:
    """Returns each word with the space before it, if there is one."""
    return [" " * space + word for word, space in zip(*sentence, strict=True)]


def processor(model: bytes) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_proto=model)


def encode(model: sentencepiece.SentencePieceProcessor, sentence: Sentence) -> Encoded:
    """Returns the pieces of each word, encoded one word at a time."""
    pieces: list[list[int]] = model.encode(words(sentence))
    counts = [len(word) for word in pieces]
    flat = [piece for word in pieces for piece in word]
    return Encoded(
        np.array(flat, np.int32), np.repeat(np.arange(len(sentence.words), dtype=np.int32), counts)
    )


def decode(model: sentencepiece.SentencePieceProcessor, pieces: Iterable[int]) -> str:
    """Returns the text of pieces as it is printed."""
    kept = [int(piece) for piece in pieces if piece > UNKNOWN]
    return "".join(model.id_to_piece(kept)).replace("▁", " ").strip()


def save(out: Path, pieces: Pieces) -> None:
    """Writes both models into a folder, each whole or not at all."""
    for name, model in pieces._asdict().items():
        write_atomically(out / NAMES[name], model)


def digest(pieces: Pieces) -> str:
    """Returns a checksum, by which weights know the pieces that they were trained on."""
    return hashlib.sha256(pieces.source + pieces.target).hexdigest()


def load(out: Path) -> Pieces:
    """Reads what `save` wrote.

    Raises:
        DataError: a file is no model of sentencepiece.
        FileNotFoundError: it is missing.
    """
    pieces = Pieces(**{name: (out / file).read_bytes() for name, file in NAMES.items()})
    for name, model in pieces._asdict().items():
        try:
            processor(model)
        except RuntimeError:
            raise DataError(f"{out / NAMES[name]}: no model of sentencepiece") from None
    return pieces


def _train(words: Iterable[str], size: int) -> bytes:
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(words),
            model_writer=model,
            model_type="bpe",  # The other kind finds no piece that is a whole word of a list.
            vocab_size=size,
            character_coverage=1.0,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            eos_id=STOP,
            bos_id=START,
            unk_id=UNKNOWN,
            pad_id=-1,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        reason = str(error).splitlines()[0].partition("] ")[2] or str(error)
        raise ValueError(f"no {size} pieces can be made of this text: {reason}") from None
    return model.getvalue()
