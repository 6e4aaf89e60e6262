"""`python -m experiments.vision`: trains all models on both sets of images and compares them."""

import argparse
import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from experiments import command
from experiments import results as records
from experiments.handwritten_digits import Halves, Images, read_digits, read_mnist
from experiments.vision import pictures, report
from experiments.vision.baselines import nearest_neighbour
from experiments.vision.config import PRESETS
from experiments.vision.model import KINDS, POSITIONS, check
from experiments.vision.train import Job, run

READERS = {"digits": read_digits, "mnist": read_mnist}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return command.run(parser(), arguments)


def parser() -> command.Parser:
    """Returns the parser of the command."""
    parser = command.Parser(
        prog="python -m experiments.vision",
        description="Reads handwritten digits with four kinds of attention, and removes what they"
        " attend to.",
    )
    parser.set_defaults(work=train)
    chosen: Any = lambda name, choices, default, help: parser.add_argument(
        name,
        nargs="+",
        choices=choices,
        default=default,
        help=f"{help} (default: {' '.join(default)})",
    )
    chosen("--data", list(READERS), ["digits"], "sets of images")
    kinds = ["patches", *KINDS]
    chosen("--models", kinds, kinds, "kinds of attention; none: the same models without it")
    chosen("--positions", POSITIONS, ["learned", "axial"], "positions of patches, a model for each")
    parser.add_argument(
        "--validate",
        action="store_true",
        help="train on 4/5 of the training images and test on the others, as for choosing options",
    )
    parser.add_presets(PRESETS)
    parser.add_out(Path("runs/vision"))
    parser.add_resume()
    return parser


def train(options: argparse.Namespace) -> None:
    """Trains, measures, and writes the records and the pictures."""
    began = time.perf_counter()
    config = command.configured(PRESETS[options.preset], options)
    check(config)
    images = {data: READERS[data]() for data in READERS if data in options.data}
    if options.validate:
        images = {data: validation(halves) for data, halves in images.items()}
    models = [f"patches, {p} positions" for p in POSITIONS if p in options.positions]
    models = models if "patches" in options.models else []
    models += [model for kind in KINDS if kind in options.models for model in KINDS[kind]]
    command.make_folder(options.out)
    seeds = range(config.seed, config.seed + config.seeds)
    jobs = [Job(data, model, seed) for seed in seeds for data in images for model in models]
    cells = []
    with tqdm(jobs, file=sys.stderr, disable=None, unit="model") as bar:
        for job in bar:
            bar.set_description(f"{job.data}: {job.model}")
            started = time.perf_counter()
            cell = run(job, images[job.data], config, options.out, resume=options.resume)
            cells.append(cell)
            # The time of a job that an earlier command finished counts as well.
            began -= max(0.0, cell["seconds"]["all"] - (time.perf_counter() - started))
            right = f"{100 * cell['accuracy']:.2f} % right"
            bar.write(
                f"{job.data}, {job.model}, seed {job.seed}: {right}, {cell['seconds']['all']:.0f} s"
            )
    neighbours = {data: nearest_neighbour(halves) for data, halves in images.items()}
    tables = report.tables(cells, neighbours)
    figures = {
        "config": dataclasses.asdict(config),
        "validate": options.validate,
        "nearest_neighbour": neighbours,
        "cells": [{name: cell[name] for name in cell if name != "config"} for cell in cells],
    }
    record = records.record(
        "vision", options.typed, seeds=seeds, began=began, tables=tables, more=figures
    )
    records.write(options.out / "results.json", record)
    print("\n\n".join(map(records.text, tables)))
    for line in pictures.draw(cells, images, config, options.out):
        print(line)
    print(f"{time.perf_counter() - began:.0f} s in all; everything is in {options.out}")


def validation(halves: Halves) -> Halves:
    """Returns the first 4/5 of the training images, and the others in the place of the test's."""
    count = 4 * len(halves.train.digits) // 5
    parts = (slice(None, count), slice(count, None))
    return Halves(*(Images(*(array[part] for array in halves.train)) for part in parts))


if __name__ == "__main__":
    sys.exit(main())
