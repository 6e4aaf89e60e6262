"""The two tables: jattn's phones beside the original's, and errors before and after training."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.dictionary import Dictionary
from experiments.fine_tuning.pronunciation import original, train, words
from experiments.fine_tuning.pronunciation.config import METHODS, Config
from experiments.fine_tuning.pronunciation.pretrained import (
    phones_of,
    pretrained,
    read_weights,
)
from experiments.fine_tuning.pronunciation.train import figures
from experiments.results import Table
from jattn import training

ASKED = ("drawn", "tested", "seed")  # Of the configuration, what the published weights depend on.
COMPARED = 1000  # Words that the plain equations pronounce as well.
NAMES = ("words_with_stress", "phones_with_stress", "words", "phones")
COLUMNS = ("words wrong", "phones wrong", "words, stress not counted", "phones, stress not counted")


def of_published(config: Config, dictionary: Dictionary) -> dict[str, Any]:
    """What is asked of the published weights, before anything is trained."""
    table, drawn = fidelity(config, dictionary)
    test, right = figures(
        pretrained(read_weights()), words.parts(dictionary, config)["test"], dictionary
    )
    asked = {name: getattr(config, name) for name in ASKED}
    return {
        "asked": asked,
        "table": table._asdict(),
        "drawn": drawn,
        "test": test,
        "test_right": right,
    }


def fidelity(config: Config, dictionary: Dictionary) -> tuple[Table, dict[str, Any]]:
    """The published weights in jattn."""
    drawn = words.some(list(dictionary.pronunciations), config.drawn, config.seed)
    weights = read_weights()
    few = drawn[:COMPARED]
    theirs = [phones_of(tokens) for tokens in original.pronounce(weights, few)]
    ours = [phones for _, phones in words.said(pretrained(weights), few)]
    same = sum(one == other for one, other in zip(ours, theirs, strict=True))
    wrong, _ = figures(pretrained(weights), drawn, dictionary)
    changed = changed_by_attention(config, few)
    rows = [
        [f"words of {len(few):,} with the phones of the equations in NumPy", f"{same:,}"],
        [
            "largest change of their log p by attention that is not trained yet",
            f"{changed:g}",
        ],
        [
            f"words of {len(drawn):,} that are wrong, stress counted",
            percent(wrong["words_with_stress"], len(drawn)),
        ],
        ["their phones, stress counted", percent(wrong["phones_with_stress"])],
        ["words, stress not counted", percent(wrong["words"], len(drawn))],
        ["phones, stress not counted", percent(wrong["phones"])],
    ]
    title = "The published weights in jattn, on words drawn at random from the whole dictionary"
    found = {"same": same, "of": len(few), "changed": changed, "errors": wrong}
    return Table(title, ["", "found"], rows), found


def changed_by_attention(config: Config, few: Sequence[str]) -> float:
    """How far apart the words' scores are in the model as published and with attention added."""
    scores = [
        words.scores(train.start(dataclasses.replace(config, method=method)), few)
        for method in ("control", "attention")
    ]
    return float(abs(scores[0] - scores[1]).max())


def percent(share: float, count: int | None = None) -> str:
    """With its standard error where it is a share of so many words."""
    error = "" if count is None else f" ± {100 * training.standard_error(share, count):.2f} %"
    return f"{100 * share:.2f} %{error}"


def errors(runs: Mapping[str, Mapping[str, Any]], published: Mapping[str, Any]) -> Table:
    """Each method on the same test words, the published model first."""
    count = len(published["test_right"])
    rows = [row("as published", published["test"], count)]
    for name, one in runs.items():
        rows.append(row(f"{name}: {METHODS[name]}", one["test"], count))
    unseen = f"{count:,} words of letters alone, of whose stems none is trained on here. "
    notes = [
        unseen + "The published model has most likely seen them.",
        *compared(runs, published["test_right"]),
    ]
    return Table("Errors on the same test words", ["", *COLUMNS], rows, notes)


def row(title: str, wrong: Mapping[str, float], count: int) -> list[str]:
    cells = [percent(wrong[name], count if "words" in name else None) for name in NAMES]
    return [title, *cells]


def compared(runs: Mapping[str, Mapping[str, Any]], published: Sequence[bool]) -> list[str]:
    """Differences in words right with their stress, on the same words, so with a smaller error."""
    right = {"as published": published, **{name: one["test_right"] for name, one in runs.items()}}
    pairs = [("control", "as published"), ("attention", "control")]
    lines = []
    for one, other in pairs:
        if one in right and other in right:
            gained = sum(a and not b for a, b in zip(right[one], right[other], strict=True))
            lost = sum(b and not a for a, b in zip(right[one], right[other], strict=True))
            count = len(published)
            share, error = (gained - lost) / count, math.sqrt(gained + lost) / count
            lines.append(
                f"{one} against {other}: {gained:,} words more are right and {lost:,} fewer, "
                f"{100 * share:+.1f} ± {100 * error:.1f} points."
            )
    return lines
