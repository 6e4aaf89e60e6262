"""`python -m experiments.article`: the article's model trained from ten seeds, and its example."""

import argparse
import dataclasses
import importlib.util
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import jax

from experiments.article.example import worked_example
from experiments.article.picture import picture
from experiments.article.report import (
    checks,
    results,
    seed_prints,
    seed_table,
    stuck_table,
)
from experiments.article.train import Config, train_all
from jattn.atomic import write_atomically

MEANING = {
    "steps": "steps of Adam; the article takes 1000",
    "learning_rate": "of Adam",
    "hidden_size": "units of the GRU",
    "seed": "the first seed",
    "seeds": "how many consecutive seeds",
    "out": "folder for results.json and weights.png; made if it does not exist",
}


def whole(smallest: int, largest: int) -> Callable[[str], int]:
    """A reader of whole numbers that names the range in its error."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = smallest - 1
        if not smallest <= number <= largest:
            raise argparse.ArgumentTypeError(
                f"{text!r} is no whole number from {smallest:,} to {largest:,}"
            )
        return number

    return read


def rate(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return number


READERS = {
    "steps": whole(1, 1_000_000),
    "learning_rate": rate,
    "hidden_size": whole(1, 1024),
    "seed": whole(0, 2**31 - 1025),
    "seeds": whole(1, 1024),
    "out": Path,
}


def parse(arguments: Sequence[str] | None) -> tuple[argparse.ArgumentParser, Config]:
    """Reads the command line; every option is a field of `Config`."""
    parser = argparse.ArgumentParser(prog="python -m experiments.article", description=__doc__)
    for field in dataclasses.fields(Config):
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=READERS[field.name],
            default=field.default,
            metavar="DIR" if field.name == "out" else "N",
            help=f"{MEANING[field.name]} (default: {field.default})",
        )
    return parser, Config(**vars(parser.parse_args(arguments)))


def complaint(out: Path | None) -> str | None:
    """Says why `out` cannot be written to, before anything is trained for it."""
    if out is None:
        return None
    if importlib.util.find_spec("matplotlib") is None:
        return "--out draws a picture and needs matplotlib: pip install 'jattn[plots]'"
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"--out {out}: cannot make this folder: {error.strerror}"
    return None if os.access(out, os.W_OK) else f"--out {out}: cannot write to this folder"


def main(arguments: Sequence[str] | None = None) -> int:
    parser, config = parse(arguments)
    if (reason := complaint(config.out)) is not None:
        parser.error(reason)
    with jax.enable_x64(True):
        print("The article's model: embedding, GRU, Linear, additive self-attention, Linear")
        print(f"{config.steps:,} steps of Adam at {config.learning_rate:g}, float64\n")
        seeds, stuck = train_all(config)
        print(seed_prints(config, seeds), "\n", sep="")
        print(seed_table(config, seeds))
        print(checks(seeds), "\n", sep="")
        print(f"The article's start, W = U = v = 0, from seed {config.seed}")
        print(stuck_table(config, stuck), "\n", sep="")
        print("The article's worked example")
        print(worked_example())
        if config.out is not None:
            try:
                for name, make in (("results.json", results), ("weights.png", picture)):
                    write_atomically(config.out / name, make(config, seeds, stuck))
            except OSError as error:
                parser.error(f"--out {error.filename}: {error.strerror}")
            print(f"\nwrote results.json and weights.png to {config.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
