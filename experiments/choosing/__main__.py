"""`python -m experiments.choosing`: trains every mechanism on every task and compares them."""

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from experiments import command, seq2seq
from experiments import results as records
from experiments.attentions import ATTENTIONS
from experiments.choosing import model
from experiments.choosing.config import Config
from experiments.choosing.costs import costs
from experiments.choosing.examples import data
from experiments.choosing.picture import picture
from experiments.choosing.report import key, tables
from experiments.choosing.tasks import TASKS, Task
from experiments.choosing.train import Trainer
from experiments.choosing.words import pronunciation
from jattn import plots

PRONUNCIATION = "pronunciation"
ALL_TASKS = (*TASKS, PRONUNCIATION)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return command.run(parser(), arguments)


def parser() -> command.Parser:
    """Returns the parser of the command."""
    parser = command.Parser(
        prog="python -m experiments.choosing",
        description="Trains a small encoder and decoder with each mechanism on each task.",
    )
    parser.set_defaults(work=run)
    parser.add_argument(
        "--tasks", nargs="+", choices=ALL_TASKS, default=ALL_TASKS, help="tasks (default: all)"
    )
    parser.add_argument(
        "--mechanisms",
        nargs="+",
        choices=ATTENTIONS,
        default=list(ATTENTIONS),
        help="mechanisms (default: all)",
    )
    parser.add_config(Config)
    parser.add_out(Path("runs/choosing"))
    parser.add_resume()
    return parser


def run(options: argparse.Namespace) -> None:
    """Trains, measures, and writes the record, the log and the picture."""
    config = command.configured(Config(), options)
    for mechanism in options.mechanisms:
        seq2seq.check(model.form(mechanism, config))
    file, log = options.out / "results.json", options.out / "log.jsonl"
    before = earlier(file, config) if options.resume else {}
    began = time.perf_counter() - 60 * before.get("minutes", 0.0)
    figures = {"cells": before.get("cells", {}), "costs": before.get("costs", {})}
    cells = figures["cells"]
    # The dictionary is read before the log is opened: without it, an earlier log stays.
    tasks = {
        task: pronunciation() if task == PRONUNCIATION else TASKS[task]
        for task in options.tasks
        if any(key(task, mechanism) not in cells for mechanism in options.mechanisms)
    }

    def save() -> dict[str, Any]:
        figures_and_config = {"config": dataclasses.asdict(config), **figures}
        names = {"tasks": trained(cells, 0, ALL_TASKS), "names": trained(cells, 1, ATTENTIONS)}
        seeds = range(config.seed, config.seed + config.seeds)
        shown = tables(figures_and_config, *names.values())
        record = records.record(
            "choosing",
            options.typed,
            seeds=seeds,
            began=began,
            tables=shown,
            more=figures_and_config,
        )
        records.write(file, record)
        return record | names

    # Each compiled when it is first used.
    trainers = {mechanism: Trainer(mechanism, config) for mechanism in options.mechanisms}
    options.out.mkdir(parents=True, exist_ok=True)
    with open(log, "a" if before else "w", encoding="utf-8") as lines:

        def write(row: dict[str, Any]) -> None:
            print(json.dumps(row), file=lines, flush=True)

        train_all(tasks, trainers, config, cells, write, save)
    if not set(trainers) <= set(figures["costs"]):
        figures["costs"] = costs(trainers, config)
    record = save()
    print("\n\n".join(records.text(table) for table in record["tables"]))
    try:
        drawn = picture(record, record["tasks"], record["names"])
        plots.save(drawn, options.out / "choosing.png", dots_per_inch=90)
    except ImportError as error:
        print(f"no choosing.png: {error}")
    print(f"everything is in {options.out}")


def trained(cells: Mapping[str, Any], part: int, names: Iterable[str]) -> list[str]:
    """Returns the tasks (part 0) or mechanisms (part 1) of the cells, in the order of `names`."""
    present = {cell.split("/")[part] for cell in cells}
    return [name for name in names if name in present]


def train_all(
    tasks: Mapping[str, Task],
    trainers: Mapping[str, Trainer],
    config: Config,
    cells: dict[str, Any],
    write: Callable[[dict[str, Any]], None],
    save: Callable[[], Any],
) -> None:
    """Trains the pairs of task and mechanism that are not in `cells` yet; saves after each."""
    wanted = [(m, t) for m in trainers for t in tasks if key(t, m) not in cells]
    examples: dict[str, Any] = {}
    with tqdm(wanted, file=sys.stderr, disable=None, unit="cell") as bar:
        for mechanism, task in bar:
            bar.set_description(f"{mechanism}, {task}")
            if task not in examples:
                examples[task] = data(task, tasks[task], config)
            name = {"task": task, "mechanism": mechanism}
            cells[key(task, mechanism)] = trainers[mechanism].cell(
                examples[task], lambda row, name=name: write({**name, **row})
            )
            save()


def earlier(file: Path, config: Config) -> dict[str, Any]:
    """Returns the record of an earlier run of the same configuration.

    Raises:
        ValueError: it had another configuration, or the file is damaged.
    """
    try:
        before = json.loads(file.read_text("utf-8"))
        if before["config"] != dataclasses.asdict(config):
            raise ValueError(
                f"{file} is of another configuration; leave --resume out to replace it"
            )
    except (KeyError, TypeError, json.JSONDecodeError):
        raise ValueError(f"{file} is not what this command writes") from None
    return before


if __name__ == "__main__":
    sys.exit(main())
