"""`python -m experiments.speech PART`: each part is a module with `add_options` and `run`."""

import importlib
import sys
from collections.abc import Sequence

from experiments import command

PARTS = {
    "transcribe": "write down WAV files with Whisper tiny.en, with the time of each word",
    "prompts": "measure Whisper's errors on recorded prompts, and compare with other programs",
    "vowels": "tell speakers and other series apart, with and without attention pooling",
    "languages": "tell languages apart by attention over the states of Whisper's encoder",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return command.run(parser(), arguments)


def parser() -> command.Parser:
    """Returns the parser of the command."""
    parser = command.Parser(prog="python -m experiments.speech", description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    for name, task in PARTS.items():
        module = importlib.import_module(f"experiments.speech.{name}")
        part = parts.add_parser(name, help=task, description=task)
        part.set_defaults(work=module.run)
        module.add_options(part)
    return parser


if __name__ == "__main__":
    sys.exit(main())
