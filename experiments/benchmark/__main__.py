"""`python -m experiments.benchmark`: times, errors and memory of jattn and of other libraries."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from experiments import command, results
from experiments.benchmark import measure, page, summary, tables
from experiments.benchmark.options import asked, parser
from experiments.benchmark.prepared import PEERS
from experiments.benchmark.processes import Refused, Workers
from experiments.benchmark.record import Record, Recorder, newest_first, path_in, version
from experiments.benchmark.rows import Row, chosen, smoke_table, table

LONGEST_VISIT = 0.5  # Seconds; where a call is longer, one of them.


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    options = parser()
    options.set_defaults(work=work)
    return command.run(options, arguments)


def work(options: argparse.Namespace) -> int:
    """Lists or measures the rows, or makes the page.

    Raises:
        ValueError: an option names no row or peer, or there is no record.
    """
    rows = chosen(list(smoke_table() if options.smoke else table()), options.rows)
    peers = asked(options)
    if options.list:
        return show(rows)
    folder = options.out or Path("runs/benchmark-smoke" if options.smoke else "docs")
    if options.markdown:
        return finish(newest_first(folder)[0][1], folder)
    return run(options, rows, peers, folder)


def show(rows: list[Row]) -> int:
    """Prints the names of rows and peers."""
    named = [[row.name, " ".join(row.directions)] for row in rows]
    print(results.text(results.Table("Rows", ["row", "directions"], named)))
    peers = [[name, peer.title, version(peer.distribution)] for name, peer in PEERS.items()]
    print("\n" + results.text(results.Table("Peers", ["peer", "title", "version"], peers)))
    return 0


def peers_of(row: Row, peers: list[str]) -> list[str]:
    return [peer for peer in peers if not row.peers or peer in row.peers]


def run(options: argparse.Namespace, rows: list[Row], peers: list[str], folder: Path) -> int:
    """Measures the rows that are missing from the record; returns 1 if one cannot be."""
    repeats = options.repeats or (2 if options.smoke else 7)
    recorded = {"repeats": repeats, "smoke": options.smoke, "limit": options.limit}
    recorder = Recorder(path_in(folder), recorded)
    if not options.fresh or options.rows:
        recorder.load()
    recorder.add_command(options.typed)
    if options.fresh:
        recorder.drop(rows)
    missing = [row for row in rows if not recorder.has(row, peers_of(row, peers))]
    turns = sum(len(peers_of(row, peers)) * len(row.directions) for row in rows)
    longest = 0.002 if options.smoke else LONGEST_VISIT
    visit = min(longest, options.budget / (max(turns, 1) * repeats))
    settings = measure.Settings(repeats, visit, not options.smoke, options.limit)
    failed = []
    with Workers(options.limit) as workers:
        for row in (progress := tqdm(missing, disable=None, unit="row")):
            progress.set_description(row.name)
            held = {peer for cells in recorder.cells(row).values() for peer in cells}
            names = [name for name in PEERS if name in held or name in peers_of(row, peers)]
            try:
                recorder.put(row, measure.measured(row, names, workers, settings))
            except Refused as refused:
                failed.append(f"{row.name}: float64 {refused}")
    for line in failed:
        print(f"experiments.benchmark: {line}", file=sys.stderr)
    return finish(recorder.record, folder) or int(bool(failed))


def finish(record: Record, folder: Path) -> int:
    """Prints the table of a record, and writes the page of all records."""
    print(results.text(tables.rows(record)).replace("**", "  "))
    for name, mean, count in summary.means(record):
        print(f"{mean:6.2f}  geometric mean of {count}: {name}")
    print(f"wrote {page.write(newest_first(folder), folder)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
