"""`python -m experiments.emoji`: trains the models, measures them, and draws what they find."""

import argparse
import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from experiments import command, results
from experiments.emoji import pictures, report
from experiments.emoji.config import PRESETS
from experiments.emoji.data import read_emoji, split
from experiments.emoji.model import STRIDES
from experiments.emoji.train import Job, describe, run


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return command.run(parser(), arguments)


def parser() -> command.Parser:
    """Returns the parser of the command."""
    parser = command.Parser(
        prog="python -m experiments.emoji",
        description="Finds pictures of emoji by their names in fourteen languages.",
    )
    parser.set_defaults(work=train)
    parser.add_presets(PRESETS)
    parser.add_out(Path("runs/emoji"))
    parser.add_resume()
    return parser


def train(options: argparse.Namespace) -> None:
    """Trains, measures, and writes the record and the pictures."""
    began = time.perf_counter()
    config = command.configured(PRESETS[options.preset], options)
    if len(config.channels) != len(STRIDES):
        raise ValueError(f"--channels has {len(config.channels)} numbers, expected {len(STRIDES)}")
    emoji = read_emoji()
    command.make_folder(options.out)
    print(f"{len(emoji.emoji):,} emoji of {len(set(emoji.group)):,} groups; font {emoji.version}")
    seeds = range(config.seed, config.seed + config.seeds)
    splits = {seed: split(emoji, seed) for seed in seeds}
    described = {seed: describe(parts) for seed, parts in splits.items()}
    cells = []
    for seed, parts in splits.items():
        for pooling in dict.fromkeys(config.models):
            started = time.perf_counter()
            cell = run(Job(pooling, seed), parts, config, options.out, resume=options.resume)
            cells.append(cell)
            # The time of a job that an earlier command finished counts as well.
            began -= max(0.0, cell["seconds"] - (time.perf_counter() - started))
            found = report.mean_recall(cell)
            print(f"{pooling}, seed {seed}: {100 * found[-1]:.1f} % at 10, {cell['seconds']:.0f} s")
    tables = report.tables(cells, list(described.values()))
    more = {
        "config": dataclasses.asdict(config),
        "font": emoji.version,
        "emoji": len(emoji.emoji),
        "groups": len(set(emoji.group)),
        "splits": described,
        "cells": cells,
    }
    record = results.record(
        "emoji", options.typed, seeds=seeds, began=began, tables=tables, more=more
    )
    results.write(options.out / "results.json", record)
    print("\n\n".join(map(results.text, tables)))
    for line in pictures.draw(splits[config.seed], config, options.out):
        print(line)
    print(f"{time.perf_counter() - began:.0f} s in all; everything is in {options.out}")


if __name__ == "__main__":
    sys.exit(main())
