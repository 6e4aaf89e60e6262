"""Runs side by side, from the results.json of each: a table, and BLEU by length.

Runs that differ by their seed alone are one row: their mean, ± their standard deviation.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.archive import DataError
from experiments.attentions import RENAMED
from experiments.both_themes import finish
from experiments.results import Table
from experiments.translation.config import Config
from experiments.translation.corpora import CORPORA, Corpus

Runs = Mapping[str, Sequence[Mapping[str, Any]]]


def read(files: Sequence[Path]) -> Runs:
    """Returns the results of runs, by the name that `named` gives each.

    Raises:
        DataError: a file is not what a run of this experiment writes.
    """
    runs: dict[str, list[dict[str, Any]]] = {}
    for path in files:
        path = path / "results.json" if path.is_dir() else path
        try:
            record = json.loads(path.read_text("utf-8"))
            runs.setdefault(named(record["config"]), []).append(record)
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{path}: no results of experiments.translation") from None
    return runs


def named(config: Mapping[str, Any]) -> str:
    """Returns the name of a run in a table: how it differs from the default."""
    attention = str(config["attention"])
    parts = [RENAMED.get(attention, attention)]
    parts += ["input feeding"] if config["input_feeding"] else []
    parts += [f"guided {config['guided']:g}"] if config["guided"] else []
    parts += ["aligned when read"] if config.get("aligned") == "reads" else []
    parts += [f"{config['steps']:,} steps"] if config["steps"] != Config().steps else []
    parts += [config["books"]] if config["books"] != "all" else []
    return ", ".join(parts)


def table(runs: Runs) -> Table:
    """Returns the scores of each run on the tested pairs, with those of the baselines below.

    Raises:
        ValueError: they were tested on different texts.
    """
    rows = [
        (
            name,
            *_cells([run["scores"]["this run"] for run in same]),
            f"{same[0]['weights'] / 1e6:.2f}",
            f"{np.mean([run['minutes_of_training'] for run in same]):.0f}",
            str(len(same)),
        )
        for name, same in runs.items()
    ]
    first = next(iter(runs.values()))[0]["scores"]
    names = [name for name in first if not name.startswith("this run")]
    below = [(name, *_cells([first[name]]), "", "", "") for name in names]
    columns = ("system", "BLEU", "chrF", "BLEU of words", "AER", "M weights", "minutes", "runs")
    return Table(_corpus(runs).test, columns, rows + below)


def lengths(runs: Runs) -> Table:
    """Returns BLEU by the reference's words, a column for each row of `table`."""
    buckets = next(iter(runs.values()))[0]["lengths"]
    rows = [
        (
            f"{bucket['words']} ({_sentences(bucket)} sentences)",
            *(f"{_by_length(same)[place]:.1f}" for same in runs.values()),
        )
        for place, bucket in enumerate(buckets)
    ]
    return Table("BLEU by words of the reference", ("words", *runs), rows)


def picture(runs: Runs) -> Any:
    """Draws BLEU by length, a line for each row of `table`.

    As figure 2 of Bahdanau et al. (2015), arXiv:1409.0473.

    Raises:
        ImportError: if matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    ax = figure.subplots()
    for place, (name, same) in enumerate(runs.items()):
        buckets = same[0]["lengths"]
        style = "--" if name == "none" else "-"
        values = _by_length(same)
        ax.plot(range(len(values)), values, "o" + style, color=f"C{place % 10}", label=name)
        ax.set_xticks(
            range(len(values)), [f"{b['words']}\n{_sentences(b)} sentences" for b in buckets]
        )
    ax.set(xlabel="words of the reference", ylabel="BLEU", ylim=(0, None))
    ax.grid(linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", frameon=False, ncols=2)
    finish(figure)
    return figure


def _corpus(runs: Runs) -> Corpus:
    names = {record["config"].get("corpus", "bible") for same in runs.values() for record in same}
    if len(names) > 1:
        raise ValueError(f"runs of {' and '.join(sorted(names))} cannot be compared")
    return CORPORA[names.pop()]


def _sentences(bucket: Mapping[str, Any]) -> int:
    """Returns the number of sentences in a range of lengths; early records say verses."""
    return bucket.get("sentences", bucket.get("verses"))


def _by_length(same: Sequence[Mapping[str, Any]]) -> list[float]:
    return np.mean([[b["bleu"] for b in run["lengths"]] for run in same], axis=0).tolist()


def _cells(rows: Sequence[Mapping[str, float]]) -> tuple[str, ...]:
    def show(name: str, form: str) -> str:
        values = [row[name] for row in rows if name in row]
        if not values:
            return "-"
        spread = f" ± {np.std(values, ddof=1):{form}}" if len(values) > 1 else ""
        return f"{np.mean(values):{form}}{spread}"

    return (*(show(name, ".1f") for name in ("bleu", "chrf", "word_bleu")), show("aer", ".3f"))
