"""`python -m experiments.translation`: train, report, draw; `... compare RUN...`: side by side."""

import argparse
import sys
from pathlib import Path

from experiments import results
from experiments.command import add_fields, configured, ended
from experiments.new_testament import BOOKS
from experiments.translation import compare, pictures, report, train
from experiments.translation.attentions import ATTENTIONS
from experiments.translation.config import Config
from experiments.translation.corpora import CORPORA
from experiments.translation.model import TRANSFORMER
from jattn import plots

MAY_BE_ZERO = ("input_feeding", "seed", "steps")
RUNS = Path("runs/translation")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    options = parser().parse_args(arguments)
    work = {"compare": side_by_side, "report": tell}.get(options.command, learn)
    return ended("experiments.translation", lambda: work(options), out=options.out)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.translation",
        description="Translates, and compares attention with human word links where there are.",
    )
    choices = {
        "attention": [*ATTENTIONS, TRANSFORMER],
        "corpus": list(CORPORA),
        "books": list(BOOKS),
        "aligned": ["predicts", "reads"],
    }
    add_fields(parser, Config, choices)
    parser.add_argument("--out", type=Path, default=RUNS)
    parser.add_argument("--resume", action="store_true", help="continue the run in --out")
    parser.add_argument(
        "--from", dest="start_from", type=Path, help="begin with this run's weights"
    )
    parser.add_argument("--tested", type=int, help="sentences to test on, all by default")
    commands = parser.add_subparsers(dest="command")
    again = commands.add_parser("report", help="measure the finished run in --out once more")
    again.add_argument("--out", type=Path, default=RUNS)
    again.add_argument("--tested", type=int)
    several = commands.add_parser("compare", help="a table and a picture of finished runs")
    several.add_argument("runs", nargs="+", type=Path, help="their folders, or results as JSON")
    several.add_argument("--out", type=Path, default=RUNS)
    return parser


def learn(options: argparse.Namespace) -> int:
    config = configured(Config(), options, MAY_BE_ZERO)
    trained = train.run(config, options.out, resume=options.resume, start_from=options.start_from)
    return show(trained, options)


def tell(options: argparse.Namespace) -> int:
    return show(train.load(options.out), options)


def show(trained: train.Trained, options: argparse.Namespace) -> int:
    record = report.measure(trained, options.out, tested=options.tested)
    for table in record["tables"]:
        print(results.text(table), end="\n\n")
    for line in pictures.draw(trained, options.out):
        print(line)
    print(f"{record['minutes']} minutes in all; everything is in {options.out}")
    return 0


def side_by_side(options: argparse.Namespace) -> int:
    runs = compare.read(options.runs)
    print(results.text(compare.table(runs)), end="\n\n")
    print(results.text(compare.lengths(runs)))
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        plots.save(compare.picture(runs), options.out / "length.png")
        print(f"wrote {options.out / 'length.png'}")
    except ImportError as error:
        print(f"no length.png: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
