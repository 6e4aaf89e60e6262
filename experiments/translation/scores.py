"""BLEU and chrF by sacrebleu, on the text as it is printed and on its bare words."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from experiments.sentence_pairs import Pair

LONGEST = (15, 25, 35)  # Words of the reference: the upper ends of all buckets but the last.


class Scores(NamedTuple):
    """Of the printed text, and BLEU of the words in lower case without punctuation."""

    bleu: float
    chrf: float
    word_bleu: float


class Bucket(NamedTuple):
    """BLEU of the sentences of one range of lengths."""

    words: str
    sentences: int
    bleu: float


def scores(translated: Sequence[str], references: Sequence[str]) -> Scores:
    """Computes corpus scores from 0 to 100."""
    bare, bare_references = list(map(words, translated)), list(map(words, references))
    return Scores(
        BLEU().corpus_score(translated, [references]).score,
        CHRF().corpus_score(translated, [references]).score,
        BLEU(tokenize="none").corpus_score(bare, [bare_references]).score,
    )


def row(translated: Sequence[str], pairs: Sequence[Pair]) -> dict[str, float]:
    """Returns the scores of translations of pairs, by name."""
    return scores(translated, [pair.target.text for pair in pairs])._asdict()


def signatures() -> dict[str, str]:
    """Returns sacrebleu's signature of each measure, for reproduction."""
    metrics = {"bleu": BLEU(), "chrf": CHRF(), "word_bleu": BLEU(tokenize="none")}
    for metric in metrics.values():
        metric.corpus_score(["a"], [["a"]])
    return {name: str(metric.get_signature()) for name, metric in metrics.items()}


def words(text: str) -> str:
    """Returns the words in lower case with spaces between; inner apostrophes and hyphens stay."""
    return " ".join(re.findall(r"\w+(?:[’'-]\w+)*", text.lower()))


def by_length(translated: Sequence[str], pairs: Sequence[Pair]) -> list[Bucket]:
    """Computes BLEU by the reference's number of words without punctuation."""
    buckets, below = [], 0
    for most in (*LONGEST, 10**6):
        rows = [i for i, v in enumerate(pairs) if below < len(v.marks) - sum(v.marks) <= most]
        measured = (
            scores([translated[i] for i in rows], [pairs[i].target.text for i in rows])
            if rows
            else None
        )
        name = f"{below + 1} to {most}" if most in LONGEST else f"over {below}"
        buckets.append(Bucket(name, len(rows), measured.bleu if measured else float("nan")))
        below = most
    return buckets


def gloss(pair: Pair) -> str:
    """Returns the glosses of the source words in order, including words in brackets."""
    glosses = (re.sub(r"[\[\]]", "", gloss) for gloss in pair.glosses)
    return " ".join(gloss for gloss in glosses if gloss.strip(" -"))
