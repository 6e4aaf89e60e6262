"""`python -m experiments.fine_tuning PART`: each part is a module with `add_options` and `run`."""

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
    return command.parser_of_parts("experiments.fine_tuning", __doc__, PARTS)


if __name__ == "__main__":
    sys.exit(main())
