"""`python -m experiments.scaling`: trains in several processes and fits a cost model."""

import argparse
import dataclasses
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from experiments import command, results
from experiments.scaling import job, page, predictions, report, values
from experiments.scaling.config import SMOKE, Config, check
from experiments.scaling.context_parallel import ONE_DEVICE
from experiments.scaling.cost_model import Constants
from experiments.scaling.processes import Processes, ProcessFailed

# Compiling is most of the work of a small run.
QUICKLY = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return command.run(parser(), arguments)


def parser() -> command.Parser:
    """Returns the parser of the command."""
    parser = command.Parser(
        prog="python -m experiments.scaling",
        description="Trains in several processes, compares with one, and fits a cost model.",
    )
    parser.set_defaults(work=run)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes and two processes")
    parser.add_config(Config)
    parser.add_out(Path("runs/scaling"))
    commands = parser.add_subparsers(dest="command")
    shown = commands.add_parser("predict", help="predict times from constants of your machine")
    shown.set_defaults(work=predict, takes=("rate", "bandwidth", "latency", "devices", "sequence"))
    above_0 = command.real(above=0)
    for name, text, least in (
        ("rate", "operations that a device computes a second", above_0),
        ("bandwidth", "bytes that a device sends a second", above_0),
        ("latency", "seconds that a message takes", command.real(least=0)),
    ):
        shown.add_argument(f"--{name}", type=least, required=True, metavar="N", help=text)
    shown.add_argument(
        "--devices",
        type=command.whole(),
        nargs="+",
        default=predictions.SHOWN,
        metavar="N",
        help="numbers of devices",
    )
    shown.add_argument(
        "--sequence", type=command.whole(), default=predictions.TOKENS, metavar="N", help="tokens"
    )
    made = commands.add_parser("page", help="put the tables of the record into docs/scaling.md")
    made.set_defaults(work=lambda _options: page.update(), takes=())
    return parser


def predict(options: argparse.Namespace) -> None:
    """Prints the predictions for constants of another machine."""
    constants = Constants(options.rate, options.bandwidth, options.latency)
    print(results.text(predictions.table(constants, options.devices, options.sequence)))


def run(options: argparse.Namespace) -> int:
    """Trains and measures in one process and in several; returns 1 if a check fails."""
    config = command.configured(SMOKE if options.smoke else Config(), options)
    check(config)
    began = time.perf_counter()
    command.make_folder(options.out)
    try:
        runs, found = processes(config, QUICKLY if options.smoke else "")
    except ProcessFailed as error:
        print(f"experiments.scaling: {error}", file=sys.stderr)
        return 1
    rows = report.measured(runs, config, len(os.sched_getaffinity(0)))
    constants = report.fitted(rows)
    comparisons = values.compared(found, ONE_DEVICE)
    shown = report.tables(runs, rows, constants, comparisons, config)
    figures = {
        "config": dataclasses.asdict(config),
        "constants": constants._asdict(),
        "measured": [row | {"sent": [*row["sent"]], "costs": [*row["costs"]]} for row in rows],
    }
    record = results.record(
        "scaling", options.typed, seeds=[config.seed], began=began, tables=shown, more=figures
    )
    results.write(options.out / "results.json", record)
    print("\n\n".join(map(results.text, shown)))
    print(page.draw(record, options.out / "scaling.png"))
    print(f"everything is in {options.out}")
    wrong = [
        f"{each.training}, {each.devices} processes: values differ from one device by more"
        " than the tolerance"
        for each in comparisons
        if not each.is_within
    ]
    wrong += report.disagreements(runs, rows, config)
    for line in wrong:
        print(f"experiments.scaling: {line}", file=sys.stderr)
    return 1 if wrong else 0


def processes(config: Config, flags: str) -> tuple[dict[int, Any], dict[int, Any]]:
    """Returns results and values of the jobs, by their number of processes, from one on.

    Args:
        flags: options of XLA.

    Raises:
        ProcessFailed: a process did not come up, ended early, or took too long.
    """
    runs: dict[int, Any] = {}
    found: dict[int, Any] = {}
    counts = (*config.processes, 1)
    parts = sum(job.parts(config, count) for count in counts)
    limits: Any = {"start_limit": config.start_limit, "limit": config.limit, "flags": flags}
    with (
        tqdm(total=parts, file=sys.stderr, disable=None, unit="part") as bar,
        tempfile.TemporaryDirectory() as folder,
    ):
        for count in counts:
            bar.set_description(f"{count} processes")
            file = f"{folder}/{count}.npz"
            work = {"config": dataclasses.asdict(config), "values": file}
            with Processes(work, count, **limits) as group:
                runs[count] = group.results_of_all(bar.update)[0]
            with np.load(file) as arrays:
                found[count] = dict(arrays)
    return dict(sorted(runs.items())), found


if __name__ == "__main__":
    sys.exit(main())
