"""Records of experiments: a JSON file for each run, and docs/results.md made from them.

`python -m experiments.results` writes the page from docs/results/*.json.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments import command
from experiments.machine import machine
from jattn.atomic import write_atomically

DOCS = Path("docs")
HEAD = """# Results

Made by `python -m experiments.results` from [results](results); not edited by hand. Each section is
one run of an experiment: its command, machine and duration, and the tables that it printed. The
page of the experiment explains them.
"""


class Table(NamedTuple):
    """Rows of text under the names of their columns, and notes below them."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


def record(
    experiment: str,
    typed: str,
    *,
    seeds: Sequence[int],
    began: float,
    tables: Sequence[Table],
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns the content of results.json.

    Args:
        experiment: the name of the experiment and of its page in docs.
        typed: the command line.
        seeds: all seeds of the run.
        began: `time.perf_counter()` at the start.
        tables: the tables for the page.
        more: further entries of the file, such as the configuration.
    """
    return {
        "experiment": experiment,
        "command": typed,
        "seeds": list(seeds),
        "machine": machine(),
        "minutes": round((time.perf_counter() - began) / 60, 1),
        "tables": [table._asdict() for table in tables],
        **(more or {}),
    }


def write(path: Path, results: Mapping[str, Any]) -> None:
    """Writes a record, whole or not at all."""
    text = json.dumps(results, indent=1, default=float, ensure_ascii=False)
    write_atomically(path, text.encode() + b"\n")


def finished(path: Path, described: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a finished part of a run wrote.

    Args:
        described: the entries that the file must have.

    Raises:
        ValueError: the file is damaged, or of another configuration.
    """
    try:
        cell = json.loads(path.read_text("utf-8"))
        same = {name: cell[name] for name in described} == described
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} is not what this command writes") from None
    if not same:
        raise ValueError(f"{path} is of another configuration; leave --resume out to replace it")
    return cell


def text(table: Table | Mapping[str, Any]) -> str:
    """Formats a table for a terminal, in aligned columns."""
    table = table if isinstance(table, Table) else Table(**table)
    lines = [table.columns, *table.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([table.title, *padded, *table.notes])


def markdown(table: Table | Mapping[str, Any]) -> str:
    """Formats a table for a page."""
    table = table if isinstance(table, Table) else Table(**table)
    line = lambda cells: "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    rows = [line(table.columns), "|" + " --- |" * len(table.columns), *map(line, table.rows)]
    return "\n".join([f"**{table.title}**", "", *rows, *(f"\n{note}" for note in table.notes)])


def estimate(shares: Sequence[float]) -> str:
    """Formats the mean in per cent, with its standard error if there are several."""
    mean = f"{100 * np.mean(shares):.1f}"
    if len(shares) == 1:
        return mean
    return f"{mean} ± {100 * np.std(shares, ddof=1) / np.sqrt(len(shares)):.1f}"


def page(records: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns the page of records, which are given by the names of their files."""
    parts = [HEAD]
    for name, run in records.items():
        machine, seeds = run["machine"], ", ".join(map(str, run["seeds"]))
        experiment = run["experiment"]
        parts += [
            f"## {experiment}: [{name}](results/{name})\n",
            f"`{run['command']}`\n",
            (
                f"{run['minutes']} minutes on {machine['cores']} cores, {machine['architecture']}, "
                f"{machine['vectors']}; seeds {seeds}. About this experiment:"
                f" [{experiment}.md]({experiment}.md).\n"
            ),
            *(markdown(table) + "\n" for table in run["tables"]),
        ]
    return "\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command.Parser(prog="python -m experiments.results", description=__doc__)
    parser.set_defaults(work=write_page)
    return command.run(parser, arguments)


def write_page(_options: argparse.Namespace) -> None:
    """Writes docs/results.md from docs/results/*.json.

    Raises:
        ValueError: a file is no JSON, or there are no records here.
    """
    records = {}
    for path in sorted((DOCS / "results").glob("*.json")):
        try:
            run = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: is no JSON: {error}") from None
        if "tables" in run and "experiment" in run:  # The benchmark's record has its own page.
            records[path.name] = run
    if not records:
        raise ValueError(f"{DOCS / 'results'} holds no records, expected those of the checkout")
    write_atomically(DOCS / "results.md", page(records).encode())
    print(f"wrote {DOCS / 'results.md'} from {len(records)} files")


if __name__ == "__main__":
    sys.exit(main())
