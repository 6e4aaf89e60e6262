"""`python -m experiments.speech PART`: each part is a module with `add_options` and `run`."""

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
    return command.parser_of_parts("experiments.speech", __doc__, PARTS)


if __name__ == "__main__":
    sys.exit(main())
