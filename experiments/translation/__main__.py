"""`python -m experiments.translation`: train, report, draw; `... compare RUN...`: side by side."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments import command, results
from experiments.translation import compare, pictures, report, train
from experiments.translation.config import Config
from jattn import plots

RUNS = Path("runs/translation")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return command.run(parser(), arguments)


def parser() -> command.Parser:
    """Returns the parser of the command."""
    parser = command.Parser(
        prog="python -m experiments.translation",
        description="Translates, and compares attention with human word links where there are.",
    )
    parser.set_defaults(work=learn)
    parser.add_config(Config)
    parser.add_out(RUNS)
    parser.add_resume()
    parser.add_argument(
        "--from", dest="start_from", type=Path, metavar="DIR", help="begin with this run's weights"
    )
    add_tested(parser, None)
    commands = parser.add_subparsers(dest="command")
    again = commands.add_parser("report", help="measure the finished run in --out once more")
    again.set_defaults(work=measure_again, takes=("out", "tested"))
    again.add_out()
    add_tested(again, argparse.SUPPRESS)
    several = commands.add_parser("compare", help="a table and a picture of finished runs")
    several.set_defaults(work=side_by_side, takes=("runs", "out"))
    several.add_argument("runs", nargs="+", type=Path, help="their folders, or results as JSON")
    several.add_out()
    return parser


def add_tested(parser: command.Parser, default: str | None) -> None:
    text = "pairs to test on (default: all)"
    parser.add_argument("--tested", type=command.whole(), default=default, metavar="N", help=text)


def learn(options: argparse.Namespace) -> None:
    config = command.configured(Config(), options)
    trained = train.run(
        config,
        options.out,
        resume=options.resume,
        start_from=options.start_from,
        tested=options.tested,
    )
    show(trained, options)


def measure_again(options: argparse.Namespace) -> None:
    show(train.load(options.out), options)


def show(trained: train.Trained, options: argparse.Namespace) -> None:
    record = report.measure(trained, options.out, tested=options.tested)
    for table in record["tables"]:
        print(results.text(table), end="\n\n")
    for line in pictures.draw(trained, options.out):
        print(line)
    print(f"{record['minutes']} minutes in all; everything is in {options.out}")


def side_by_side(options: argparse.Namespace) -> None:
    runs = compare.read(options.runs)
    print(results.text(compare.table(runs)), end="\n\n")
    print(results.text(compare.lengths(runs)))
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        plots.save(compare.picture(runs), options.out / "length.png")
        print(f"wrote {options.out / 'length.png'}")
    except ImportError as error:
        print(f"no length.png: {error}")


if __name__ == "__main__":
    sys.exit(main())
