"""The corpora of `--corpus`: texts to translate, and baselines on them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from experiments import held_out, libreoffice_help, new_testament
from experiments.sentence_pairs import Pair, Parts
from experiments.translation import alignment, ibm, scores
from experiments.translation.config import TRANSFORMER, Config

Scores = dict[str, dict[str, float]]


class Corpus(NamedTuple):
    """Pairs of two languages.

    source, target: the languages.
    valid, test: names of the parts to choose by and to test on.
    is_linked: whether people linked the words.
    samples: names of the pairs that pictures show.
    read: returns the pairs.
    baselines: scores without a network, of the tested pairs given those to train on.
    reference: returns the place of a pair in its text.
    version: returns the version of the text.
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
    """Refuses options that the corpus or the model has no use for.

    Raises:
        ValueError: an option needs links or books that the corpus lacks, attention that the model
            lacks, or the links that are tested.
    """
    is_luong = config.attention not in ("additive", TRANSFORMER)
    if config.input_feeding and not is_luong:
        raise ValueError(f"--input-feeding has no effect on {config.attention}")
    if config.guided and config.attention == "none":
        raise ValueError("--guided has no effect on a model without attention")
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
    """Scores glosses as translations, and the links of IBM Model 1 and of the diagonal."""
    gold = [verse.links for verse in verses]
    aligned = {
        "IBM Model 1, verses to train on": ibm.align(verses, train),
        "IBM Model 1, all verses": ibm.align(verses, new_testament.read_verses()),
        "diagonal": [alignment.diagonal(verse) for verse in verses],
    }
    rows = {n: {"aer": alignment.alignment_error_rate(links, gold)} for n, links in aligned.items()}
    glosses = [scores.gloss(verse) for verse in verses]
    return {"glosses in Greek order": scores.row(glosses, verses), **rows}


def _read_help(config: Config) -> Parts:
    paragraphs = libreoffice_help.without_repetitions(libreoffice_help.read_paragraphs())
    parts = held_out.split(paragraphs, lambda paragraph: paragraph.page)
    return Parts(**{name: list(map(_pair, part)) for name, part in parts.items()})


def _pair(paragraph: libreoffice_help.Paragraph) -> Pair:
    english, german = map(libreoffice_help.words, (paragraph.english, paragraph.german))
    marks = tuple(not word[0].isalnum() for word in german.words)
    return Pair(f"{paragraph.page}#{paragraph.name}", english, german, marks)


def _copied(pairs: Sequence[Pair], train: Sequence[Pair]) -> Scores:
    return {"the English itself": scores.row([pair.source.text for pair in pairs], pairs)}


CORPORA = {
    "bible": Corpus(
        "Greek",
        "English",
        "Hebrews",
        "John",
        is_linked=True,
        # Of John: short, about who went where.
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
        samples=(),  # The text changes with its version: the first ones are drawn.
        read=_read_help,
        baselines=_copied,
        reference=lambda pair: pair.name.partition("#")[0],
        version=libreoffice_help.version,
    ),
}
