"""The corpora of `--corpus`: English texts, and the group that each belongs to."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from experiments import english_bible, held_out, libreoffice_help

# By folder of the pages. Pages that several applications share, and charts, are left out.
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
    """Texts by reference, and the index in `names` of each text's group.

    `whole` names the chapter or page that a text belongs to; these are held out whole.
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
        """Returns references to train on, to tune on and to test on; no chapter is in two."""
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
    """Reads paragraphs that occur in one application alone, each text once."""
    paragraphs = [p for p in libreoffice_help.read_paragraphs() if p.application in APPLICATIONS]
    applications: dict[str, set[str]] = {}
    for paragraph in paragraphs:
        of_text = applications.setdefault(paragraph.english.lower(), set())
        of_text.add(APPLICATIONS[paragraph.application])
    names = tuple(dict.fromkeys(APPLICATIONS.values()))
    texts, groups = {}, {}
    for paragraph in libreoffice_help.without_repetitions(paragraphs):
        reference = f"{paragraph.page}#{paragraph.name}"
        if len(applications[paragraph.english.lower()]) == 1:
            texts[reference] = paragraph.english
            groups[reference] = names.index(APPLICATIONS[paragraph.application])
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


# Each function reads its texts, and raises DataError if they cannot be had.
CORPORA = {"bible": _bible, "help": _help}
