"""`python -m experiments.choosing`: trains every mechanism on every task and compares them."""

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from experiments import results as records
from experiments.choosing.config import Config
from experiments.choosing.costs import costs
from experiments.choosing.examples import data
from experiments.choosing.mechanisms import MECHANISMS
from experiments.choosing.picture import picture
from experiments.choosing.report import key, tables
from experiments.choosing.tasks import TASKS
from experiments.choosing.train import Trainer
from experiments.choosing.words import pronunciation
from experiments.command import add_fields, configured, ended
from jattn import plots

PRONUNCIATION = "pronunciation"
ALL_TASKS = (*TASKS, PRONUNCIATION)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    options = parser().parse_args(arguments)
    typed = " ".join(sys.argv[1:] if arguments is None else arguments)
    command = f"python -m experiments.choosing {typed}".strip()
    return ended("experiments.choosing", lambda: run(options, command), out=options.out)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.choosing",
        description="Trains a small encoder and decoder with each mechanism on each task.",
    )
    parser.add_argument("--tasks", nargs="+", choices=ALL_TASKS, default=ALL_TASKS)
    parser.add_argument("--mechanisms", nargs="+", choices=MECHANISMS, default=list(MECHANISMS))
    add_fields(parser, Config)
    parser.add_argument("--out", type=Path, default=Path("runs/choosing"))
    parser.add_argument("--resume", action="store_true", help="keep the cells that --out has")
    return parser


def run(options: argparse.Namespace, command: str) -> None:
    config = configured(Config(), options, may_be_zero=("seed", "warmup"))
    file, log = options.out / "results.json", options.out / "log.jsonl"
    before = earlier(file, config) if options.resume else {}
    began = time.perf_counter() - 60 * before.get("minutes", 0.0)
    found = {"cells": before.get("cells", {}), "costs": before.get("costs", {})}

    def save() -> dict[str, Any]:
        known = {"config": dataclasses.asdict(config), **found}
        tasks = [
            task for task in ALL_TASKS if any(key(task, m) in found["cells"] for m in MECHANISMS)
        ]
        names = [m for m in MECHANISMS if any(key(task, m) in found["cells"] for task in tasks)]
        seeds = range(config.seed, config.seed + config.seeds)
        shown = tables(known, tasks, names)
        record = records.record(
            "choosing", command, seeds=seeds, began=began, tables=shown, more=known
        )
        records.write(file, record)
        return record | {"tasks": tasks, "names": names}

    # Each compiled when it is first used.
    trainers = {mechanism: Trainer(mechanism, config) for mechanism in options.mechanisms}
    options.out.mkdir(parents=True, exist_ok=True)
    with open(log, "a" if before else "w", encoding="utf-8") as lines:

        def write(row: dict[str, Any]) -> None:
            print(json.dumps(row), file=lines, flush=True)

        train_all(options.tasks, trainers, config, found["cells"], write, save)
    if not set(trainers) <= set(found["costs"]):
        found["costs"] = costs(trainers, config)
    record = save()
    print("\n\n".join(records.text(table) for table in record["tables"]))
    try:
        drawn = picture(record, record["tasks"], record["names"])
        plots.save(drawn, options.out / "choosing.png", dots_per_inch=90)
    except ImportError as error:
        print(f"no choosing.png: {error}")
    print(f"everything is in {options.out}")


def train_all(
    tasks: Sequence[str],
    trainers: Mapping[str, Trainer],
    config: Config,
    cells: dict[str, Any],
    write: Callable[[dict[str, Any]], None],
    save: Callable[[], Any],
) -> None:
    """Trains what is not in `cells` yet; saves after each."""
    wanted = [(m, t) for m in trainers for t in tasks if key(t, m) not in cells]
    examples: dict[str, Any] = {}
    with tqdm(wanted, file=sys.stderr, disable=None, unit="cell") as bar:
        for mechanism, task in bar:
            bar.set_description(f"{mechanism}, {task}")
            if task not in examples:
                made = pronunciation() if task == PRONUNCIATION else TASKS[task]
                examples[task] = data(task, made, config)
            name = {"task": task, "mechanism": mechanism}
            cells[key(task, mechanism)] = trainers[mechanism].cell(
                examples[task], lambda row, name=name: write({**name, **row})
            )
            save()


def earlier(file: Path, config: Config) -> dict[str, Any]:
    """What an earlier run of the same configuration left.

    Raises:
        ValueError: it had another configuration, or the file is damaged.
    """
    try:
        before = json.loads(file.read_text("utf-8"))
        if before["config"] != dataclasses.asdict(config):
            raise ValueError(
                f"{file} is of another configuration; leave --resume out to replace it"
            )
    except (KeyError, json.JSONDecodeError):
        raise ValueError(f"{file} is not what this command writes") from None
    return before


if __name__ == "__main__":
    sys.exit(main())
