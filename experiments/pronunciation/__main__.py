"""`python -m experiments.pronunciation`: train, report, draw; `... say WORD`: pronounce."""

import argparse
import dataclasses
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from experiments import command, results
from experiments.pronunciation import report
from experiments.pronunciation.config import PRESETS
from experiments.pronunciation.train import load_weights, run


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return command.run(parser(), arguments)


def parser() -> command.Parser:
    """Returns the parser of the command."""
    parser = command.Parser(
        prog="python -m experiments.pronunciation",
        description="Learns to pronounce English words; draws what the decoder attends to.",
    )
    parser.set_defaults(work=train)
    parser.add_presets(PRESETS)
    parser.add_out(Path("runs/pronunciation"))
    parser.add_resume()
    parser.add_argument("--compare", action="store_true", help="train without attention as well")
    parser.add_argument(
        "--tested", type=command.whole(), metavar="N", help="test words to pronounce (default: all)"
    )
    commands = parser.add_subparsers(dest="command")
    say = commands.add_parser("say", help="pronounce words with the weights in --out")
    say.set_defaults(work=pronounce, takes=("words", "out"))
    say.add_argument("words", nargs="+", help="words of letters a to z and apostrophes")
    say.add_out()
    return parser


def train(options: argparse.Namespace) -> None:
    began = time.perf_counter()
    config = command.configured(PRESETS[options.preset], options)
    train_into = partial(run, tested=options.tested, command=options.typed)
    print(f"{config.steps:,} steps; losses and error rates go to {options.out / 'log.jsonl'}")
    record = train_into(config, options.out, resume=options.resume)
    print(results.text(record["tables"][0]))
    if options.compare:
        blank = dataclasses.replace(config, attention="none")
        out = options.out / "without-attention"
        resume = options.resume and (out / "checkpoint.safetensors").exists()
        print(report.comparison(record, train_into(blank, out, resume=resume)))
    for line in report.draw(options.out):
        print(line)
    print(f"{time.perf_counter() - began:.0f} s in all; everything is in {options.out}")


def pronounce(options: argparse.Namespace) -> None:
    params, config, phones = load_weights(options.out)
    for text in report.said(params, config, phones, options.words):
        print(text)


if __name__ == "__main__":
    sys.exit(main())
