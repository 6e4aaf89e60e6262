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
    """Corpus scores from 0 to 100."""
    bare, bare_references = list(map(words, translated)), list(map(words, references))
    return Scores(
        BLEU().corpus_score(translated, [references]).score,
        CHRF().corpus_score(translated, [references]).score,
        BLEU(tokenize="none").corpus_score(bare, [bare_references]).score,
    )


def row(translated: Sequence[str], pairs: Sequence[Pair]) -> dict[str, float]:
    """The scores of translations of pairs, by name."""
    return scores(translated, [pair.target.text for pair in pairs])._asdict()


def signatures() -> dict[str, str]:
    """What sacrebleu says of each measure, so that others can repeat it."""
    metrics = {"bleu": BLEU(), "chrf": CHRF(), "word_bleu": BLEU(tokenize="none")}
    for metric in metrics.values():
        metric.corpus_score(["a"], [["a"]])
    return {name: str(metric.get_signature()) for name, metric in metrics.items()}


def words(text: str) -> str:
    """The words in lower case with spaces between, an apostrophe or hyphen inside one kept."""
    return " ".join(re.findall(r"\w+(?:[’'-]\w+)*", text.lower()))


def by_length(translated: Sequence[str], pairs: Sequence[Pair]) -> list[Bucket]:
    """BLEU of short to long sentences, by the words of the reference without punctuation."""
    found, below = [], 0
    for most in (*LONGEST, 10**6):
        rows = [i for i, v in enumerate(pairs) if below < len(v.marks) - sum(v.marks) <= most]
        here = (
            scores([translated[i] for i in rows], [pairs[i].target.text for i in rows])
            if rows
            else None
        )
        name = f"{below + 1} to {most}" if most in LONGEST else f"over {below}"
        found.append(Bucket(name, len(rows), here.bleu if here else float("nan")))
        below = most
    return found


def gloss(pair: Pair) -> str:
    """Each source word's gloss, in their order; words supplied in brackets count."""
    glosses = (re.sub(r"[\[\]]", "", gloss) for gloss in pair.glosses)
    return " ".join(gloss for gloss in glosses if gloss.strip(" -"))
