"""`python -m experiments.fine_tuning PART`: each part is a module with `add_options` and `run`."""

import importlib
import sys
from collections.abc import Sequence

from experiments import command

PARTS = {
    "sentences": "tell where an English sentence comes from, with a sentence encoder's weights",
    "pronunciation": "train a published GRU from letters to phones on, with attention added",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return command.run(parser(), arguments)


def parser() -> command.Parser:
    """Returns the parser of the command."""
    parser = command.Parser(prog="python -m experiments.fine_tuning", description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    for name, task in PARTS.items():
        module = importlib.import_module(f"experiments.fine_tuning.{name}.command")
        part = parts.add_parser(name, help=task, description=task)
        part.set_defaults(work=module.run)
        module.add_options(part)
    return parser


if __name__ == "__main__":
    sys.exit(main())
