"""The tables of a run: recall by model, by language, and by likeness to a training name."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.contrastive import FOUND
from experiments.emoji.config import POOLING
from experiments.emoji.data import LANGUAGES
from experiments.emoji.train import LIKENESS
from experiments.results import Table, estimate

Cells = Sequence[Mapping[str, Any]]
BASELINE = "nearest name, no learning"
AT = [f"at {most}" for most in FOUND]


def mean_recall(cell: Mapping[str, Any]) -> list[float]:
    """Returns recall at 1, 5 and 10, the mean of all languages."""
    return np.mean(list(cell["recall"].values()), axis=0).tolist()


def tables(cells: Cells, splits: Cells) -> list[Table]:
    """Returns the tables of the finished jobs; each of `splits` describes one split."""
    by_model = {
        pooling: [cell for cell in cells if cell["pooling"] == pooling]
        for pooling in POOLING
        if any(cell["pooling"] == pooling for cell in cells)
    }
    by_model[BASELINE] = [split["baseline"] for split in splits]
    return [
        model_table(by_model, splits),
        *(language_table(name, each, splits) for name, each in by_model.items()),
        likeness_table(by_model),
    ]


def model_table(by_model: Mapping[str, Cells], splits: Cells) -> Table:
    rows = []
    for name, each in by_model.items():
        count = f"{each[0]['parameters']:,}" if "parameters" in each[0] else ""
        found = zip(*map(mean_recall, each), strict=True)
        at_10 = [mean_recall(cell)[-1] for cell in each]
        more = ""
        if "mean" in by_model and name != "mean":
            base = [mean_recall(cell)[-1] for cell in by_model["mean"]]
            gains = [one - other for one, other in zip(at_10, base, strict=True)]
            more = estimate(gains)
        rows.append([name, count, *map(estimate, found), more])
    chance = [[most / split["held_out"] for split in splits] for most in FOUND]
    rows.append(["chance", "", *(f"{100 * np.mean(each):.1f}" for each in chance), ""])
    sizes = {name: " / ".join(str(split[name]) for split in splits) for name in splits[0]}
    spread = (
        f"Means of {len(splits)} splits, each with a training of its own; ± is the standard error"
        " of the mean over them. "
        if len(splits) > 1
        else ""
    )
    title = "Held-out pictures found by their names, mean of fourteen languages, per cent"
    note = (
        f"{spread}Emoji to train on: {sizes['train']}; to tune on: {sizes['tune']};"
        f" held out: {sizes['held_out']}."
    )
    return Table(title, ["", "parameters", *AT, "at 10, more than mean"], rows, [note])


def language_table(name: str, cells: Cells, splits: Cells) -> Table:
    mean = lambda key, language: float(np.mean([split[key][language] for split in splits]))
    alike = [mean("likeness", language) for language in LANGUAGES]
    unseen = [mean("unseen", language) for language in LANGUAGES]
    found = np.array([[cell["recall"][language] for cell in cells] for language in LANGUAGES])
    rows = [
        [title, *map(estimate, each.T), f"{100 * part:.0f}", f"{100 * rare:.1f}"]
        for title, each, part, rare in zip(LANGUAGES.values(), found, alike, unseen, strict=True)
    ]
    at_10 = found[..., -1].mean(1)
    related = [f"{correlation(values, at_10):+.2f}" for values in (alike, unseen)]
    return Table(
        f"Held-out pictures found by names in each language: {name}, per cent",
        ["", *AT, "likeness", "unseen characters"],
        rows,
        [
            (
                "Likeness: of a held-out name to the nearest training name in its language (Dice,"
                " runs of one to three characters). Unseen characters: in no training name of the"
                " language."
            ),
            (
                f"Correlations with recall at 10 over the languages: {related[0]} with likeness,"
                f" {related[1]} with unseen characters."
            ),
        ],
    )


def correlation(left: Sequence[float], right: Sequence[float] | np.ndarray) -> float:
    """Returns Pearson's correlation, 0 if a side does not vary."""
    if np.ptp(left) == 0 or np.ptp(right) == 0:
        return 0.0
    return float(np.corrcoef(left, right)[0, 1])


def likeness_table(by_model: Mapping[str, Cells]) -> Table:
    first = next(iter(by_model.values()))
    rows = []
    for index, (low, high) in enumerate(itertools.pairwise(LIKENESS)):
        title = f"{low:.1f} to {min(high, 1.0):.1f}"
        total = lambda cells, key, index=index: sum(c["by_likeness"][index][key] for c in cells)
        names = total(first, "names")
        shares = [
            f"{100 * total(cells, 'found') / names:.1f}" if names else "-"
            for cells in by_model.values()
        ]
        rows.append([title, f"{names:,}", *shares])
    return Table(
        "Held-out pictures among the first 10, by likeness to a training name, per cent",
        ["likeness", "names", *by_model],
        rows,
        ["All languages and all splits together."],
    )
