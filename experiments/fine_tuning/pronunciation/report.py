"""The two tables: jattn's phones and the original's, and errors before and after training."""

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

ASKED = ("drawn", "tested", "seed")  # Options on which the published weights' results depend.
COMPARED = 1000  # Words that the NumPy equations pronounce too.
NAMES = ("words_with_stress", "phones_with_stress", "words", "phones")
COLUMNS = ("words wrong", "phones wrong", "words, stress not counted", "phones, stress not counted")


def of_published(config: Config, dictionary: Dictionary) -> dict[str, Any]:
    """Measures the published weights, before anything is trained."""
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
    """Compares the published weights in jattn with their own equations."""
    drawn = words.sample(list(dictionary.pronunciations), config.drawn, config.seed)
    weights = read_weights()
    compared = drawn[:COMPARED]
    theirs = [phones_of(tokens) for tokens in original.pronounce(weights, compared)]
    ours = [phones for _, phones in words.said(pretrained(weights), compared)]
    same = sum(said == expected for said, expected in zip(ours, theirs, strict=True))
    wrong, _ = figures(pretrained(weights), drawn, dictionary)
    changed = changed_by_attention(config, compared)
    rows = [
        [f"words of {len(compared):,} with the phones of the equations in NumPy", f"{same:,}"],
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
    found = {"same": same, "of": len(compared), "changed": changed, "errors": wrong}
    return Table(title, ["", "found"], rows), found


def changed_by_attention(config: Config, compared: Sequence[str]) -> float:
    """Returns the largest change of a word's log p by attention that is added and not trained."""
    scores = [
        words.scores(train.start(dataclasses.replace(config, method=method)), compared)
        for method in ("control", "attention")
    ]
    return float(abs(scores[0] - scores[1]).max())


def percent(share: float, count: int | None = None) -> str:
    """Formats a share, with its standard error if it is one of `count` words."""
    error = "" if count is None else f" ± {100 * training.standard_error(share, count):.2f} %"
    return f"{100 * share:.2f} %{error}"


def errors(runs: Mapping[str, Mapping[str, Any]], published: Mapping[str, Any]) -> Table:
    """Returns the errors of each method on the same test words, the published model first."""
    count = len(published["test_right"])
    rows = [row("as published", published["test"], count)]
    for name, run in runs.items():
        rows.append(row(f"{name}: {METHODS[name]}", run["test"], count))
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
    """States differences in words right with stress, on the same words: their error is smaller."""
    right = {"as published": published, **{name: run["test_right"] for name, run in runs.items()}}
    pairs = [("control", "as published"), ("attention", "control")]
    lines = []
    for method, base in pairs:
        if method in right and base in right:
            gained = sum(a and not b for a, b in zip(right[method], right[base], strict=True))
            lost = sum(b and not a for a, b in zip(right[method], right[base], strict=True))
            count = len(published)
            share, error = (gained - lost) / count, math.sqrt(gained + lost) / count
            lines.append(
                f"{method} against {base}: {gained:,} words more are right and {lost:,} fewer, "
                f"{100 * share:+.1f} ± {100 * error:.1f} points."
            )
    return lines
