"""`python -m experiments.article`: the article's model trained from ten seeds, and its example."""

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

import jax

from experiments import command
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return command.run(parser(), arguments)


def parser() -> command.Parser:
    """Returns the parser of the command."""
    parser = command.Parser(prog="python -m experiments.article", description=__doc__)
    parser.set_defaults(work=train)
    parser.add_config(Config)
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for results.json and weights.png"
    )
    return parser


def check_out(out: Path) -> None:
    """Makes the folder, before anything is trained for it.

    Raises:
        ValueError: matplotlib is missing, which draws the picture.
        OSError: the folder cannot be made or written to.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ValueError("--out draws a picture and needs matplotlib: pip install 'jattn[plots]'")
    command.make_folder(out)


def train(options: argparse.Namespace) -> None:
    """Trains all seeds and the zero start; prints everything, and writes it to `--out`."""
    config = command.configured(Config(), options)
    if options.out is not None:
        check_out(options.out)
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
        if options.out is not None:
            for name, make in (("results.json", results), ("weights.png", picture)):
                write_atomically(options.out / name, make(config, seeds, stuck))
            print(f"\nwrote results.json and weights.png to {options.out}")


if __name__ == "__main__":
    sys.exit(main())
