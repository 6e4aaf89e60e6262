"""`python -m experiments.pronunciation`: train, report, draw; `... say WORD`: pronounce."""

import argparse
import dataclasses
import sys
import time
from functools import partial
from pathlib import Path

from experiments import results
from experiments.command import add_fields, configured, ended, typed
from experiments.pronunciation import report
from experiments.pronunciation.attentions import ATTENTIONS
from experiments.pronunciation.config import PRESETS, Config
from experiments.pronunciation.train import load_weights, run

MAY_BE_ZERO = ("dropout", "label_smoothing", "warmup", "seed", "steps")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    options = parser().parse_args(arguments)
    work = say if options.command == "say" else train
    return ended("experiments.pronunciation", lambda: work(options), out=options.out)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.pronunciation",
        description="Learns to pronounce English words; draws what the decoder attends to.",
    )
    parser.add_argument("--preset", choices=PRESETS, default="default")
    add_fields(parser, Config, {"attention": list(ATTENTIONS), "split": ["stem", "word"]})
    parser.add_argument("--out", type=Path, default=Path("runs/pronunciation"))
    parser.add_argument("--resume", action="store_true", help="continue the run in --out")
    parser.add_argument("--compare", action="store_true", help="train without attention as well")
    parser.add_argument("--tested", type=int, help="test words to pronounce, all by default")
    commands = parser.add_subparsers(dest="command")
    say = commands.add_parser("say", help="pronounce words with the weights in --out")
    say.add_argument("words", nargs="+")
    say.add_argument("--out", type=Path, default=Path("runs/pronunciation"))
    return parser


def train(options: argparse.Namespace) -> int:
    began = time.perf_counter()
    config = configured(PRESETS[options.preset], options, MAY_BE_ZERO)
    go = partial(run, tested=options.tested, command=typed("experiments.pronunciation"))
    found = go(config, options.out, resume=options.resume)
    print(results.text(found["tables"][0]))
    if options.compare:
        blank = dataclasses.replace(config, attention="none")
        out = options.out / "without-attention"
        resume = options.resume and (out / "checkpoint.safetensors").exists()
        print(report.comparison(found, go(blank, out, resume=resume)))
    for line in report.draw(options.out):
        print(line)
    print(f"{time.perf_counter() - began:.0f} s in all; everything is in {options.out}")
    return 0


def say(options: argparse.Namespace) -> int:
    params, config, phones = load_weights(options.out)
    for text in report.said(params, config, phones, options.words):
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
