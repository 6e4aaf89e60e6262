"""`sentences`: trains, tests and prints a table; `--check` compares with the original alone."""

import argparse
from pathlib import Path

from experiments.command import add_fields, configured
from experiments.fine_tuning.sentences.config import MAY_BE_ZERO, METHODS, Config


def add_options(parser: argparse.ArgumentParser) -> None:
    add_fields(parser, Config, {"method": [*METHODS, "all"]})
    parser.add_argument("--out", type=Path, default=Path("runs/fine-tuning-sentences"))
    parser.add_argument("--resume", action="store_true", help="continue the run in --out")
    parser.add_argument("--check", action="store_true", help="compare with the original, no more")


def run(options: argparse.Namespace) -> int:
    configured(Config(), options, MAY_BE_ZERO)
    return 0
