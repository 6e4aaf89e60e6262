"""What `--corpus` offers: English texts, and what is to be told of each."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from experiments import english_bible, held_out, libreoffice_help

# By folder of its pages; what is shared by several, and charts, are left out.
APPLICATIONS = {
    "swriter": "Writer",
    "scalc": "Calc",
    "simpress": "Impress and Draw",
    "sdraw": "Impress and Draw",
    "sbasic": "Basic",
    "sdatabase": "Base",
    "smath": "Math",
}


class Corpus(NamedTuple):
    """Texts by reference, and the place in `names` of each one's group.

    `whole` names what a text is held out with: its chapter or page.
    """

    question: str
    text: str
    wholes: str
    names: tuple[str, ...]
    texts: Mapping[str, str]
    groups: Mapping[str, int]
    whole: Callable[[str], str]
    version: str | None = None

    def split(self) -> dict[str, list[str]]:
        """References to train on, to tune on and to test on: wholes stay whole."""
        return held_out.split(self.texts, self.whole)


def _bible() -> Corpus:
    verses = english_bible.read_verses()
    return Corpus(
        "Which group of books a verse comes from",
        "verses",
        "chapters",
        tuple(english_bible.GROUPS),
        verses,
        {reference: english_bible.group(reference) for reference in verses},
        english_bible.chapter,
    )


def _help() -> Corpus:
    """Paragraphs of one application alone, each text once."""
    found = [p for p in libreoffice_help.read_paragraphs() if p.application in APPLICATIONS]
    said_in: dict[str, set[str]] = {}
    for one in found:
        said_in.setdefault(one.english.lower(), set()).add(APPLICATIONS[one.application])
    names = tuple(dict.fromkeys(APPLICATIONS.values()))
    texts, groups = {}, {}
    for one in libreoffice_help.without_repetitions(found):
        reference = f"{one.page}#{one.name}"
        if len(said_in[one.english.lower()]) == 1:
            texts[reference] = one.english
            groups[reference] = names.index(APPLICATIONS[one.application])
    return Corpus(
        "Which application a paragraph of its help is about",
        "paragraphs",
        "pages",
        names,
        texts,
        groups,
        lambda reference: reference.partition("#")[0],
        libreoffice_help.version(),
    )


# Each reads its texts, and raises DataError where they cannot be had.
CORPORA = {"bible": _bible, "help": _help}
