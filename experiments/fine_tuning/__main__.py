"""`python -m experiments.fine_tuning PART`: each part is a module with `add_options` and `run`."""

import argparse
import importlib
import sys

from experiments.command import ended

PARTS = {
    "sentences": "where an English sentence comes from, with a sentence encoder's weights",
    "pronunciation": "a published GRU from letters to phones, trained on with attention added",
}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    options = parser().parse_args(arguments)
    module = importlib.import_module(f"experiments.fine_tuning.{options.part}.command")
    program = f"experiments.fine_tuning {options.part}"
    return ended(program, lambda: module.run(options), out=options.out)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m experiments.fine_tuning", description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    for name, task in PARTS.items():
        module = importlib.import_module(f"experiments.fine_tuning.{name}.command")
        module.add_options(parts.add_parser(name, help=task, description=task))
    return parser


if __name__ == "__main__":
    sys.exit(main())
