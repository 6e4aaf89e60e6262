"""What the commands of experiments share: options from a config's fields, and how they end."""

import argparse
import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from experiments.archive import DataError

C = TypeVar("C")


def add_fields(
    parser: argparse.ArgumentParser,
    config: type,
    choices: Mapping[str, Sequence[str]] | None = None,
    several: Sequence[str] = (),
) -> None:
    """An option for each field of the dataclass `config`; one that is not given is None.

    Those named in `several` take one value or more, as a list.
    """
    for field in dataclasses.fields(config):
        name = "--" + field.name.replace("_", "-")
        parser.add_argument(
            name,
            dest=field.name,
            type=field.type,
            choices=(choices or {}).get(field.name),
            nargs="+" if field.name in several else None,
        )


def configured(preset: C, options: argparse.Namespace, may_be_zero: Sequence[str] = ()) -> C:
    """The preset with the fields that were given.

    Raises:
        ValueError: a whole number is below 1, or below 0 if its field may be zero.
    """
    names = [field.name for field in dataclasses.fields(preset)]  # type: ignore[arg-type]
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    config = dataclasses.replace(preset, **given)  # type: ignore[type-var]
    for name in names:
        value, least = getattr(config, name), 0 if name in may_be_zero else 1
        if isinstance(value, int) and value < least:
            option = name.replace("_", "-")
            raise ValueError(f"--{option} is {value}, expected at least {least}")
    return config


def ended(program: str, work: Callable[[], int | None], *, out: Any) -> int:
    """Does the work; returns the exit code, 2 and one line for what a user can mend."""
    try:
        return work() or 0
    except KeyboardInterrupt:
        print(f"stopped; the same command with --resume goes on from {out}")
        return 130
    except (DataError, ValueError, OSError) as error:
        message = str(error)
        if isinstance(error, OSError) and error.filename:
            message = f"{error.filename}: {error.strerror}"
        print(f"{program}: {message}", file=sys.stderr)
        return 2


def typed(program: str) -> str:
    """The command that was typed, for the record of its run."""
    return " ".join([f"python -m {program}", *sys.argv[1:]])
