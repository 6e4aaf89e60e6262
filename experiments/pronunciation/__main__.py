"""`python -m experiments.pronunciation`: train, report, draw; `... say WORD`: pronounce."""

import argparse
import dataclasses
import sys
import time
from pathlib import Path

from experiments.archive import DataError
from experiments.pronunciation import report
from experiments.pronunciation.attentions import ATTENTIONS
from experiments.pronunciation.config import PRESETS, Config
from experiments.pronunciation.train import load_weights, run


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    options = parser().parse_args(arguments)
    try:
        return say(options) if options.command == "say" else train(options)
    except KeyboardInterrupt:
        print(f"stopped; the same command with --resume goes on from {options.out}")
        return 130
    except (DataError, ValueError, OSError) as error:
        message = (
            str(error)
            if not isinstance(error, OSError) or not error.filename
            else (f"{error.filename}: {error.strerror}")
        )
        print(f"experiments.pronunciation: {message}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.pronunciation",
        description="Learns to pronounce English words; draws what the decoder attends to.",
    )
    parser.add_argument("--preset", choices=PRESETS, default="default")
    for field in dataclasses.fields(Config):
        choices = {"attention": list(ATTENTIONS), "split": ["stem", "word"]}.get(field.name)
        name = "--" + field.name.replace("_", "-")
        parser.add_argument(name, dest=field.name, type=field.type, choices=choices)
    parser.add_argument("--out", type=Path, default=Path("runs/pronunciation"))
    parser.add_argument("--resume", action="store_true", help="continue the run in --out")
    parser.add_argument("--compare", action="store_true", help="train without attention as well")
    parser.add_argument("--tested", type=int, help="test words to pronounce, all by default")
    commands = parser.add_subparsers(dest="command")
    say = commands.add_parser("say", help="pronounce words with the weights in --out")
    say.add_argument("words", nargs="+")
    say.add_argument("--out", type=Path, default=Path("runs/pronunciation"))
    return parser


def configuration(options: argparse.Namespace) -> Config:
    """The preset with the fields that were given; raises ValueError for a size that cannot be."""
    fields = [field.name for field in dataclasses.fields(Config)]
    given = {name: getattr(options, name) for name in fields if getattr(options, name) is not None}
    config = dataclasses.replace(PRESETS[options.preset], **given)
    for name in fields:
        value = getattr(config, name)
        least = {"dropout": 0, "label_smoothing": 0, "warmup": 0, "seed": 0, "steps": 0}.get(
            name, 1
        )
        if isinstance(value, int) and value < least:
            option = name.replace("_", "-")
            raise ValueError(f"--{option} is {value}, expected at least {least}")
    return config


def train(options: argparse.Namespace) -> int:
    began = time.perf_counter()
    config = configuration(options)
    results = run(config, options.out, resume=options.resume, tested=options.tested)
    print(report.table(results))
    if options.compare:
        blank = dataclasses.replace(config, attention="none")
        out = options.out / "without-attention"
        resume = options.resume and (out / "checkpoint.safetensors").exists()
        without = run(blank, out, resume=resume, tested=options.tested)
        print(report.comparison(results, without))
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
