"""Several runs side by side, from the results.json of each: a table and BLEU by length."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.archive import DataError
from experiments.results import Table
from experiments.translation.config import Config


def read(files: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """The results of runs, by the name that `named` gives each.

    Raises:
        DataError: a file is not what a run of this experiment writes.
    """
    found = {}
    for path in files:
        path = path / "results.json" if path.is_dir() else path
        try:
            record = json.loads(path.read_text("utf-8"))
            found[named(record["config"])] = record
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{path}: no results of experiments.translation") from None
    return found


def named(config: Mapping[str, Any]) -> str:
    """What sets a run apart in a table of runs."""
    parts = [config["attention"]]
    parts += ["input feeding"] if config["input_feeding"] else []
    parts += [f"guided {config['guided']:g}"] if config["guided"] else []
    parts += ["aligned when read"] if config.get("aligned") == "reads" else []
    parts += [f"{config['steps']:,} steps"] if config["steps"] != Config().steps else []
    parts += [config["books"]] if config["books"] != "all" else []
    return ", ".join(parts)


def table(runs: Mapping[str, Mapping[str, Any]]) -> Table:
    """Scores on John of each run, with those of the baselines below."""
    rows = [
        (
            name,
            *_cells(run["scores"]["this run"]),
            f"{run['weights'] / 1e6:.2f}",
            f"{run['minutes_of_training']:.0f}",
        )
        for name, run in runs.items()
    ]
    first = next(iter(runs.values()))["scores"]
    below = [(n, *_cells(row), "", "") for n, row in first.items() if not n.startswith("this run")]
    columns = ("system", "BLEU", "chrF", "BLEU of words", "AER", "million weights", "minutes")
    return Table("John", columns, rows + below)


def lengths(runs: Mapping[str, Mapping[str, Any]]) -> Table:
    """BLEU by the reference's words, a column a run."""
    buckets = next(iter(runs.values()))["lengths"]
    rows = [
        (
            f"{bucket['words']} ({bucket['verses']} verses)",
            *(f"{run['lengths'][place]['bleu']:.1f}" for run in runs.values()),
        )
        for place, bucket in enumerate(buckets)
    ]
    return Table("BLEU by words of the reference", ("words", *runs), rows)


def picture(runs: Mapping[str, Mapping[str, Any]]) -> Any:
    """BLEU by length, a line a run: the figure 2 of Bahdanau et al. (2015), arXiv:1409.0473.

    Raises:
        ImportError: if matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    ax = figure.subplots()
    for place, (name, run) in enumerate(runs.items()):
        buckets = run["lengths"]
        style = "--" if name == "none" else "-"
        values = [bucket["bleu"] for bucket in buckets]
        ax.plot(range(len(values)), values, "o" + style, color=f"C{place % 10}", label=name)
        ax.set_xticks(range(len(values)), [f"{b['words']}\n{b['verses']} verses" for b in buckets])
    ax.set(xlabel="words of the reference", ylabel="BLEU", ylim=(0, None))
    ax.grid(color="0.9", linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, ncols=2)
    return figure


def _cells(row: Mapping[str, float]) -> tuple[str, ...]:
    show = lambda name, form: form.format(row[name]) if name in row else "-"
    return (*(show(n, "{:.1f}") for n in ("bleu", "chrf", "word_bleu")), show("aer", "{:.3f}"))
