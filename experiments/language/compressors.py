"""Bits that general compressors need for the texts."""

import bz2
import lzma
import zlib
from collections.abc import Callable

from experiments.language.data import Text
from experiments.results import Table

COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "zlib": lambda text: zlib.compress(text, 9),
    "lzma": lambda text: lzma.compress(text, preset=9 | lzma.PRESET_EXTREME),
    "bz2": lambda text: bz2.compress(text, 9),
}


def compressed(text: Text) -> dict[str, dict[str, float]]:
    """Returns the bits of each compressor, for the whole text and for the books to test on.

    `whole` is bits per byte of UTF-8. The others are bits per character, of one byte each: of the
    whole text, of the test books `alone`, and of the same `after` the books to train on.
    """
    test = "".join(text.test)
    codes = {character: place for place, character in enumerate(text.alphabet)}
    in_bytes = lambda text: bytes(codes[character] for character in text)
    measured = {}
    for name, compress in COMPRESSORS.items():
        bits = lambda content, compress=compress: 8 * len(compress(content))
        train = bits(in_bytes(text.train))
        measured[name] = {
            "whole": bits(text.whole.encode()) / len(text.whole.encode()),
            "characters": bits(in_bytes(text.whole)) / len(text.whole),
            "alone": bits(in_bytes(test)) / len(test),
            "after": (bits(in_bytes(text.train + test)) - train) / len(test),
        }
    return measured


def compressors_table(measured: dict[str, dict[str, float]]) -> Table:
    """Returns a table of what `compressed` measured."""
    columns = (
        "",
        "whole text, per byte of UTF-8",
        "whole text, per character",
        "test books alone",
        "test books after the training text",
    )
    rows = [(name, *(f"{bits:.3f}" for bits in of.values())) for name, of in measured.items()]
    note = (
        "All but the first column: one byte for each character. bz2 compresses blocks of 900 kB on"
        " their own, so most of the training text cannot help it."
    )
    return Table("Bits of compressors", columns, rows, [note])
