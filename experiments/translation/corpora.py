"""What `--corpus` offers: texts to translate, and what can be compared with on them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from experiments import held_out, libreoffice_help, new_testament
from experiments.sentence_pairs import Pair, Parts
from experiments.translation import alignment, ibm, scores
from experiments.translation.config import Config

Scores = dict[str, dict[str, float]]


class Corpus(NamedTuple):
    """Two languages, what the parts to choose by and to test on are called, and how to read them.

    `baselines` need no network, and score the tested pairs given those to train on. Those without
    links have a False `is_linked`. `samples` are the names of pairs that pictures show.
    """

    source: str
    target: str
    valid: str
    test: str
    is_linked: bool
    samples: Sequence[str]
    read: Callable[[Config], Parts]
    baselines: Callable[[Sequence[Pair], Sequence[Pair]], Scores]
    reference: Callable[[Pair], str]
    version: Callable[[], str | None] = lambda: None


def check(config: Config) -> None:
    """Refuses what the corpus has nothing for.

    Raises:
        ValueError: an option needs links or books that the corpus lacks, or tested links to learn.
    """
    for name in () if CORPORA[config.corpus].is_linked else ("guided", "books", "aligned"):
        if getattr(config, name) != getattr(Config(), name):
            raise ValueError(
                f"--{name} is of the Bible alone; {config.corpus} has no links or books"
            )
    if config.guided and config.books == "whole":
        raise ValueError("guided attention on the whole would learn the links of the tested verses")


def _read_bible(config: Config) -> Parts:
    return new_testament.split(new_testament.read_verses(), config.books)


def _aligners_and_glosses(verses: Sequence[Pair], train: Sequence[Pair]) -> Scores:
    """Glosses for translations; IBM Model 1 and the diagonal for links."""
    gold = [verse.links for verse in verses]
    found = {
        "IBM Model 1, verses to train on": ibm.align(verses, train),
        "IBM Model 1, all verses": ibm.align(verses, new_testament.read_verses()),
        "diagonal": [alignment.diagonal(verse) for verse in verses],
    }
    rows = {n: {"aer": alignment.alignment_error_rate(links, gold)} for n, links in found.items()}
    glosses = [scores.gloss(verse) for verse in verses]
    return {"glosses in Greek order": scores.row(glosses, verses), **rows}


def _read_help(config: Config) -> Parts:
    paragraphs = libreoffice_help.without_repetitions(libreoffice_help.read_paragraphs())
    parts = held_out.split(paragraphs, lambda one: one.page)
    return Parts(**{name: [_pair(one) for one in part] for name, part in parts.items()})


def _pair(one: libreoffice_help.Paragraph) -> Pair:
    english, german = map(libreoffice_help.words, (one.english, one.german))
    marks = tuple(not word[0].isalnum() for word in german.words)
    return Pair(f"{one.page}#{one.name}", english, german, marks)


def _copied(pairs: Sequence[Pair], train: Sequence[Pair]) -> Scores:
    return {"the English itself": scores.row([pair.source.text for pair in pairs], pairs)}


CORPORA = {
    "bible": Corpus(
        "Greek",
        "English",
        "Hebrews",
        "John",
        is_linked=True,
        # Of John: short, and about nothing but who went where.
        samples=("43001035", "43002012", "43018018", "43021008"),
        read=_read_bible,
        baselines=_aligners_and_glosses,
        reference=new_testament.reference,
    ),
    "help-de": Corpus(
        "English",
        "German",
        "pages to choose by",
        "LibreOffice's help",
        is_linked=False,
        samples=(),  # Of a text that changes with its version: whichever come first.
        read=_read_help,
        baselines=_copied,
        reference=lambda pair: pair.name.partition("#")[0],
        version=libreoffice_help.version,
    ),
}
