"""`python -m experiments.benchmark`: times and memory of jattn beside other libraries."""

import argparse
import signal
import sys
from pathlib import Path

from tqdm import tqdm

from experiments.benchmark import measure, page, scaling, summary, tables
from experiments.benchmark.checks import WRONG
from experiments.benchmark.machine import version
from experiments.benchmark.options import asked, parser
from experiments.benchmark.prepared import PEERS
from experiments.benchmark.processes import GIB, Refused, Workers
from experiments.benchmark.results import Results, read
from experiments.benchmark.rows import Row, chosen, smoke_table, table
from experiments.command import typed

LONGEST_VISIT = 0.5  # Seconds; where a call is longer, one of them.


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    options = parser().parse_args(arguments)
    try:
        rows = chosen(list(smoke_table() if options.smoke else table()), options.rows)
        peers = asked(options)
        if options.list:
            return show(rows)
        if options.check:
            return check(options, rows, peers)
        return run(options, rows, peers)
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on", file=sys.stderr)
        return 130
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(f"experiments.benchmark: {place}{error.strerror}", file=sys.stderr)
        return 2
    except (Refused, ValueError) as error:
        print(f"experiments.benchmark: {error}", file=sys.stderr)
        return 2


def show(rows: list[Row]) -> int:
    print(
        tables.text(
            [["row", "directions"], *([row.name, " ".join(row.directions)] for row in rows)]
        )
    )
    found = [[name, peer.title, version(peer.distribution)] for name, peer in PEERS.items()]
    print("\n" + tables.text([["peer", "title", "version"], *found]))
    return 0


def peers_of(row: Row, peers: list[str]) -> list[str]:
    return [peer for peer in peers if not row.peers or peer in row.peers]


def run(options: argparse.Namespace, rows: list[Row], peers: list[str]) -> int:
    folder = options.out or Path("runs/benchmark-smoke" if options.smoke else "docs")
    file = folder / "results" / "benchmark.json"
    if options.markdown:
        return finish(read(file), file, folder)
    repeats = options.repeats or (2 if options.smoke else 7)
    given = {"repeats": repeats, "smoke": options.smoke, "limit": options.limit}
    results = Results(file, given)
    if not options.fresh or options.rows:
        results.load()
    results.add_command(typed("experiments.benchmark"))
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
            held = {peer for cells in results.cells(row).values() for peer in cells}
            names = [name for name in PEERS if name in held or name in peers_of(row, peers)]
            try:
                results.put(row, cells_of(row, names, results, workers, settings))
            except Refused as refused:
                failed.append(f"{row.name}: float64 {refused}")
    for line in failed:
        print(f"experiments.benchmark: {line}", file=sys.stderr)
    return finish(results.record, file, folder) or int(bool(failed))


def cells_of(row: Row, names: list[str], results: Results, workers: Workers, settings):
    if not row.length:
        return measure.measured(row, names, workers, settings)
    if settings.fresh:
        workers.stop()  # Long points need all the memory that there is.
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
    """Prints each result's error; 1 if one is wrong."""
    wrong = False
    with Workers(options.limit, options.memory * GIB) as workers:
        for row in rows:
            expected = measure.truth(row, workers)
            for direction in row.directions:
                cells = measure.checked(row, direction, peers_of(row, peers), workers, expected)
                for peer, cell in cells.items():
                    said = cell.get("reason") or f"{cell['error']:.1e} in {cell['error_in']}"
                    print(f"{row.name:<32} {direction:<9} {peer:<16} {said}", flush=True)
                    wrong = wrong or not cell.get("error", 0.0) <= WRONG
    return int(wrong)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # As Ctrl-C: workers are ended too.
    sys.exit(main())
