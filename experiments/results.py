"""Results of experiments: one JSON file a run, and docs/results.md made from them.

`python -m experiments.results` writes the page from docs/results/*.json.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.machine import machine
from jattn.atomic import write_atomically

DOCS = Path("docs")
HEAD = """# Results

Made by `python -m experiments.results` from [results](results); not edited by hand. Each section is
one run of an experiment: what was typed, on what machine, how long it took, and the tables that it
printed. The experiment's own page says what they mean.
"""


class Table(NamedTuple):
    """Rows of text under the names of their columns, and remarks below them."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


def record(
    experiment: str,
    command: str,
    *,
    seeds: Sequence[int],
    began: float,
    tables: Sequence[Table],
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What a run writes to results.json.

    Args:
        experiment: its name, that of its page in docs.
        command: as typed.
        began: `time.perf_counter()` at the start.
        tables: what the page shows.
        more: figures for whoever reads the file, such as the configuration.
    """
    return {
        "experiment": experiment,
        "command": command,
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


def text(table: Table | Mapping[str, Any]) -> str:
    """A table for a terminal, columns in line."""
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
    """The same for a page."""
    table = table if isinstance(table, Table) else Table(**table)
    line = lambda cells: "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    rows = [line(table.columns), "|" + " --- |" * len(table.columns), *map(line, table.rows)]
    return "\n".join([f"**{table.title}**", "", *rows, *(f"\n{note}" for note in table.notes)])


def page(records: Mapping[str, Mapping[str, Any]]) -> str:
    """The page of records by the names of their files."""
    parts = [HEAD]
    for name, one in records.items():
        machine, seeds = one["machine"], ", ".join(map(str, one["seeds"]))
        parts += [
            f"## {one['experiment']}: [{name}](results/{name})\n",
            f"`{one['command']}`\n",
            (
                f"{one['minutes']} minutes on {machine['cores']} cores, {machine['architecture']}, "
                f"{machine['vectors']}; seeds {seeds}. [About it]({one['experiment']}.md).\n"
            ),
            *(markdown(table) + "\n" for table in one["tables"]),
        ]
    return "\n".join(parts)


def main() -> int:
    files = sorted((DOCS / "results").glob("*.json"))
    read = {path.name: json.loads(path.read_text("utf-8")) for path in files}
    found = {name: one for name, one in read.items() if "tables" in one and "experiment" in one}
    write_atomically(DOCS / "results.md", page(found).encode())
    print(f"wrote {DOCS / 'results.md'} from {len(found)} files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
