"""`python -m experiments.captions`: train, measure, draw; `... draw`: the pictures alone."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from experiments import command, results
from experiments.captions import pictures
from experiments.captions.config import PRESETS
from experiments.captions.encoder import STRIDES
from experiments.captions.train import run


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return command.run(parser(), arguments)


def parser() -> command.Parser:
    """Returns the parser of the command."""
    parser = command.Parser(
        prog="python -m experiments.captions",
        description="Captions pictures of digits; draws the places that each word attends to.",
    )
    parser.set_defaults(work=train)
    parser.add_presets(PRESETS)
    parser.add_out(Path("runs/captions"))
    parser.add_resume()
    commands = parser.add_subparsers(dest="command")
    draw = commands.add_parser("draw", help="draw the pictures of the run in --out again")
    draw.set_defaults(work=redraw, takes=("out",))
    draw.add_out()
    return parser


def train(options: argparse.Namespace) -> None:
    began = time.perf_counter()
    config = command.configured(PRESETS[options.preset], options)
    if len(config.channels) != len(STRIDES):
        raise ValueError(f"--channels has {len(config.channels)} numbers, expected {len(STRIDES)}")
    command.make_folder(options.out)
    print(f"{', '.join(config.models)}: losses and measures go to {options.out}/MODEL/log.jsonl")
    record = run(config, options.out, resume=options.resume, command=options.typed)
    for table in record["tables"]:
        print(results.text(table))
    redraw(options)
    print(f"{time.perf_counter() - began:.0f} s in all; everything is in {options.out}")


def redraw(options: argparse.Namespace) -> None:
    for line in pictures.draw(options.out):
        print(line)


if __name__ == "__main__":
    sys.exit(main())
