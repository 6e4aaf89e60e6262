"""The wheel `bible-alignments`: Bible texts word by word, and the links that people drew."""

import csv
import io
import zipfile
from collections.abc import Iterator

from experiments.archive import wheel

WHEEL = (
    "bible-alignments",
    "0.4.2",
    "84f6b15e706657777824aac811567cb5cb2b38ad2b94497209f5f3c3f67b0984",
)


def opened() -> zipfile.ZipFile:
    """Opens the wheel as an archive.

    Raises:
        DataError: it cannot be downloaded, or it is another.
    """
    return wheel(*WHEEL)


def rows(archive: zipfile.ZipFile, name: str) -> Iterator[dict[str, str]]:
    """Returns the lines of a table of the archive."""
    text = io.TextIOWrapper(archive.open(name), "utf-8")
    return csv.DictReader(text, delimiter="\t", quoting=csv.QUOTE_NONE)
