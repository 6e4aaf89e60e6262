"""`python -m experiments.benchmark`: times and memory of jattn beside other libraries."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from experiments import command
from experiments.benchmark import measure, page, scaling, summary, tables
from experiments.benchmark.checks import WRONG
from experiments.benchmark.machine import version
from experiments.benchmark.options import asked, parser
from experiments.benchmark.prepared import PEERS
from experiments.benchmark.processes import GIB, Refused, Workers
from experiments.benchmark.results import Results, read
from experiments.benchmark.rows import Row, chosen, smoke_table, table

LONGEST_VISIT = 0.5  # Seconds; where a call is longer, one of them.


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    options = parser()
    options.set_defaults(work=work)
    return command.run(options, arguments)


def work(options: argparse.Namespace) -> int:
    """Lists, checks or measures the rows.

    Raises:
        ValueError: an option names no row or peer, or a peer cannot do what it has to.
    """
    rows = chosen(list(smoke_table() if options.smoke else table()), options.rows)
    peers = asked(options)
    if options.list:
        return show(rows)
    try:
        return check(options, rows, peers) if options.check else run(options, rows, peers)
    except Refused as refused:
        raise ValueError(str(refused)) from refused


def show(rows: list[Row]) -> int:
    """Prints the names of rows and peers."""
    print(
        tables.text(
            [["row", "directions"], *([row.name, " ".join(row.directions)] for row in rows)]
        )
    )
    peers = [[name, peer.title, version(peer.distribution)] for name, peer in PEERS.items()]
    print("\n" + tables.text([["peer", "title", "version"], *peers]))
    return 0


def peers_of(row: Row, peers: list[str]) -> list[str]:
    return [peer for peer in peers if not row.peers or peer in row.peers]


def run(options: argparse.Namespace, rows: list[Row], peers: list[str]) -> int:
    """Measures the rows that are missing from the record; returns 1 if one cannot be."""
    folder = options.out or Path("runs/benchmark-smoke" if options.smoke else "docs")
    file = folder / "results" / "benchmark.json"
    if options.markdown:
        return finish(read(file), file, folder)
    repeats = options.repeats or (2 if options.smoke else 7)
    recorded = {"repeats": repeats, "smoke": options.smoke, "limit": options.limit}
    results = Results(file, recorded)
    if not options.fresh or options.rows:
        results.load()
    results.add_command(options.typed)
    if options.fresh:
        results.drop(rows)
    missing = [row for row in rows if not results.has(row, peers_of(row, peers))]
    turns = sum(len(peers_of(row, peers)) * len(row.directions) for row in rows if not row.length)
    longest = 0.002 if options.smoke else LONGEST_VISIT
    visit = min(longest, options.budget / (max(turns, 1) * repeats))
    settings = measure.Settings(repeats, visit, not options.smoke, options.limit)
    failed = []
    with Workers(options.limit, options.memory * GIB) as workers:
        for row in (progress := tqdm(missing, disable=None, unit="row")):
            progress.set_description(row.name)
            measured = {peer for cells in results.cells(row).values() for peer in cells}
            names = [name for name in PEERS if name in measured or name in peers_of(row, peers)]
            try:
                results.put(row, cells_of(row, names, results, workers, settings))
            except Refused as refused:
                failed.append(f"{row.name}: float64 {refused}")
    for line in failed:
        print(f"experiments.benchmark: {line}", file=sys.stderr)
    return finish(results.record, file, folder) or int(bool(failed))


def cells_of(row: Row, names: list[str], results: Results, workers: Workers, settings):
    """Measures a row, or a point of a curve."""
    if not row.length:
        return measure.measured(row, names, workers, settings)
    if settings.fresh:
        workers.stop()  # Long points need all free memory.
    shorter = [
        line.cells
        for line in summary.curve(results.record, row.family)
        if line.row["length"] < row.length
    ]
    return scaling.point(row, names, shorter, workers, settings)


def finish(record, file: Path, folder: Path) -> int:
    """Prints the table and writes the page."""
    print(tables.text(tables.ratios(record)).replace("**", "  "))
    for name, mean, count in summary.means(record):
        print(f"{mean:6.2f}  geometric mean of {count}: {name}")
    print(f"{page.write(record, file, folder)} and {file}")
    return 0


def check(options: argparse.Namespace, rows: list[Row], peers: list[str]) -> int:
    """Prints the error of each result; returns 1 if one is wrong."""
    wrong = False
    with Workers(options.limit, options.memory * GIB) as workers:
        for row in rows:
            expected = measure.truth(row, workers)
            for direction in row.directions:
                cells = measure.checked(row, direction, peers_of(row, peers), workers, expected)
                for peer, cell in cells.items():
                    text = cell.get("reason") or f"{cell['error']:.1e} in {cell['error_in']}"
                    print(f"{row.name:<32} {direction:<9} {peer:<16} {text}")
                    wrong = wrong or not cell.get("error", 0.0) <= WRONG
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
