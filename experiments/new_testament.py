"""The Greek New Testament, an English translation of it, and the links that people drew between.

Greek: SBL Greek New Testament, CC-BY-4.0. English: Berean Standard Bible, public domain. Links:
BiblioNexus, CC-BY-4.0. All three are in the package bible-alignments, read as an archive.
"""

import json
import unicodedata
from collections.abc import Iterable

from experiments.bible_alignments import opened, rows
from experiments.sentence_pairs import Pair, Parts, Sentence

JOHN, HEBREWS = 43, 58
HELD_OUT = frozenset({JOHN, HEBREWS})
# Numbers of books to train on. Acts and Revelation are neither Gospels nor Epistles.
BOOKS = {
    "gospels": frozenset(range(40, 44)) - HELD_OUT,
    "epistles": frozenset(range(45, 66)) - HELD_OUT,
    "all": frozenset(range(40, 67)) - HELD_OUT,
    "whole": frozenset(range(40, 67)),
}


def read_verses() -> list[Pair]:
    """Reads the 7,936 verses of both texts, in the order of the books."""
    with opened() as archive:
        greek = _by_verse(rows(archive, "data/sources/SBLGNT.tsv"), lambda row: row["id"][1:9])
        english = _by_verse(
            rows(archive, "data/eng/targets/BSB/nt_BSB.tsv"), lambda row: row["source_verse"]
        )
        name = "data/eng/alignments/BSB/SBLGNT-BSB-manual.json"
        records = json.loads(archive.read(name))["records"]
    links: dict[str, set[tuple[str, str]]] = {}
    for record in records:
        for source in record["source"]:
            pairs = {(source, target) for target in record["target"]}
            links.setdefault(source[1:9], set()).update(pairs)
    return [
        _verse(name, greek[name], english[name], links.get(name, set()))
        for name in greek
        if name in english
    ]


def book(verse: Pair) -> int:
    return int(verse.name[:2])


def reference(verse: Pair) -> str:
    """Returns chapter and verse."""
    return f"{int(verse.name[2:5])}:{int(verse.name[5:])}"


def split(verses: Iterable[Pair], books: str = "all") -> Parts:
    """Splits verses by book, since the first three Gospels share much of their text.

    John is the test set, Hebrews the validation set.

    Args:
        books: a name in `BOOKS`, to train on; "whole" alone includes John and Hebrews.
    """
    verses = list(verses)
    chosen = (BOOKS[books], {HEBREWS}, {JOHN})
    return Parts(*([verse for verse in verses if book(verse) in part] for part in chosen))


def plain(word: str) -> str:
    """Returns a Greek word in lower case, with an acute for a grave accent.

    A grave is an acute within a sentence; it would make two forms of a word.
    """
    decomposed = unicodedata.normalize("NFD", word.lower())
    return unicodedata.normalize("NFC", decomposed.replace("\u0300", "\u0301"))


def _by_verse(lines, name) -> dict[str, list[dict[str, str]]]:
    verses: dict[str, list[dict[str, str]]] = {}
    for row in lines:
        verses.setdefault(name(row), []).append(row)
    return verses


def _verse(name, greek, english, links) -> Pair:
    source = {row["id"]: place for place, row in enumerate(greek)}
    target = {row["id"]: place for place, row in enumerate(english)}
    spaced = (True, *(row["skip_space_after"] != "y" for row in english[:-1]))
    return Pair(
        name,
        Sentence(tuple(plain(row["text"]) for row in greek), (True,) * len(greek)),
        Sentence(tuple(row["text"] for row in english), spaced),
        tuple(row["exclude"] == "y" for row in english),
        # A few links cross the border of a verse.
        frozenset((source[a], target[b]) for a, b in links if a in source and b in target),
        tuple(row["gloss"] for row in greek),
    )
