"""The text of Whisper's tokens: byte-level pairs, as in GPT-2."""

import json
import string
from collections.abc import Sequence
from typing import NamedTuple

ENDINGS = set("\"'.,!?:)]}") | set("。，！？：”、")  # Marks that belong to the word before them.


class Tokenizer(NamedTuple):
    """The bytes of each token of text, and the numbers of special tokens by name."""

    pieces: tuple[bytes, ...]
    special: dict[str, int]

    def text(self, tokens: Sequence[int]) -> str:
        """Returns the text of tokens; special ones have none."""
        pieces = (self.pieces[token] for token in tokens if token < len(self.pieces))
        return b"".join(pieces).decode("utf-8", "replace")


class Span(NamedTuple):
    """A word, and the places of its tokens; marks after it are in `text` and in no place."""

    text: str
    first: int
    end: int


def read_tokenizer(content: bytes, name: str) -> Tokenizer:
    """Reads tokenizer.json.

    Raises:
        ValueError: naming the file, if it is no tokenizer of this kind.
    """
    try:
        fields = json.loads(content)
        numbers: dict[str, int] = fields["model"]["vocab"]
        special = {token["content"]: token["id"] for token in fields["added_tokens"]}
        byte = byte_of_character()
        texts = sorted((n, text) for text, n in numbers.items() if text not in special)
        if [n for n, _ in texts] != list(range(len(texts))):
            raise ValueError("numbers of tokens have gaps")
        return Tokenizer(tuple(bytes(byte[c] for c in text) for _, text in texts), special)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{name}: is no byte-level tokenizer: {error!r}") from None


def byte_of_character() -> dict[str, int]:
    """Returns the byte that each character of a token's name means.

    Bytes that are printable in Latin-1 mean themselves; the others are numbered from 256 on.
    """
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in printable]
    characters = {chr(byte): byte for byte in printable}
    return characters | {chr(256 + place): byte for place, byte in enumerate(others)}


def words(tokenizer: Tokenizer, tokens: Sequence[int]) -> list[Span]:
    """Splits tokens of text into words, each of which begins with a space."""
    groups: list[list[int]] = []
    for place, token in enumerate(tokens):
        text = tokenizer.text([token])
        is_ending = text.strip() != "" and set(text.strip()) <= ENDINGS and not text[:1].isspace()
        if groups and (is_ending or not text.startswith((" ", *string.punctuation))):
            groups[-1].append(place)
        else:
            groups.append([place])
    spans = []
    for group in groups:
        text = tokenizer.text([tokens[place] for place in group])
        endings = 0
        while (
            endings < len(group) - 1
            and set(tokenizer.text([tokens[group[-1 - endings]]])) <= ENDINGS
        ):
            endings += 1
        spans.append(Span(text.strip(), group[0], group[-1] + 1 - endings))
    return spans
