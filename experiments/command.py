"""Commands of experiments: options from a dataclass, checked before work begins, and exit codes.

A mistake of the user is one line on stderr and exit code 2. SIGTERM stops a command as Ctrl-C does.
"""

import argparse
import contextlib
import dataclasses
import errno
import importlib
import math
import os
import re
import shlex
import signal
import sys
import threading
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from experiments.archive import DataError

C = TypeVar("C")
LARGEST = 2**31 - 1  # Of whole numbers: seeds and sizes are int32.


def option(
    default: Any,
    help: str,
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: Sequence[str] | None = None,
    renamed: Mapping[str, str] | None = None,
) -> Any:
    """Returns a field of a dataclass that is also an option of a command.

    Args:
        default: the value without the option.
        help: the text that `--help` prints.
        least, most: bounds that the value may reach; whole numbers are at least 1 by default.
        above, below: bounds that the value may not reach.
        choices: the names that are allowed.
        renamed: former names and what they are called now.
    """
    limits = {"least": least, "most": most, "above": above, "below": below}
    metadata = {"help": help, "limits": limits, "choices": choices, "renamed": renamed or {}}
    return dataclasses.field(default=default, metadata=metadata)


def whole(
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Callable[[str], int]:
    """Returns a reader of whole numbers from `least`, 1 by default, to `most`."""
    bounds = (1 if least is None else least, LARGEST if most is None else most)
    return _reader(int, "a whole number", *bounds, above, below)


def real(
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Callable[[str], float]:
    """Returns a reader of finite numbers within the bounds."""
    return _reader(float, "a finite number", least, most, above, below)


def _reader(
    kind: Callable[[str], Any],
    name: str,
    least: float | None,
    most: float | None,
    above: float | None,
    below: float | None,
) -> Callable[[str], Any]:
    bounds = {"at least": least, "at most": most, "more than": above, "less than": below}
    shown = {word: bound for word, bound in bounds.items() if bound not in (None, LARGEST)}
    expected = " and ".join(f"{word} {bound:g}" for word, bound in shown.items()) or name

    def read(text: str) -> Any:
        try:
            number = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"is {text!r}, expected {name}") from None
        within = (
            math.isfinite(number)
            and (least is None or number >= least)
            and (most is None or number <= most)
            and (above is None or number > above)
            and (below is None or number < below)
        )
        if not within:
            is_large = math.isfinite(number) and most == LARGEST and number > most
            raise argparse.ArgumentTypeError(
                f"is {text}, expected {f'at most {LARGEST:,}' if is_large else expected}"
            )
        return number

    return read


class Parser(argparse.ArgumentParser):
    """A parser that states a mistake in one line, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        message = re.sub(r"^argument (\S+): is ", r"\1 is ", message)
        self.exit(2, f"{self.prog.removeprefix('python -m ')}: {message}\n")

    def add_config(self, config: type, several: Sequence[str] = ()) -> None:
        """Adds an option for each field of the dataclass `config`; one that is not given is None.

        Fields that are tuples take one value or more, and so do those named in `several`.
        """
        for field in dataclasses.fields(config):
            is_tuple = typing.get_origin(field.type) is tuple
            kind: Any = typing.get_args(field.type)[0] if is_tuple else field.type
            default: Any = field.default
            default = " ".join(map(str, default)) if is_tuple else default
            limits, renamed = field.metadata["limits"], field.metadata["renamed"]
            readers = {int: whole, float: real}
            reader = readers[kind](**limits) if kind in readers else kind
            self.add_argument(
                "--" + field.name.replace("_", "-"),
                dest=field.name,
                type=(lambda name, names=renamed: names.get(name, name)) if renamed else reader,
                choices=field.metadata["choices"],
                nargs="+" if is_tuple or field.name in several else None,
                metavar=None if field.metadata["choices"] else "N" if kind in readers else "X",
                help=f"{field.metadata['help']} (default: {default})".replace("%", "%%"),
            )

    def add_presets(self, presets: Mapping[str, Any]) -> None:
        """Adds `--preset`, a name among `presets`, and an option for each field of these."""
        self.add_argument(
            "--preset", choices=presets, default="default", help="values of all other options"
        )
        self.add_config(type(presets["default"]))

    def add_out(self, default: Path | None = None) -> None:
        """Adds `--out`. In a subcommand there is no default, which would undo the parser's own."""
        self.add_argument(
            "--out",
            type=Path,
            default=argparse.SUPPRESS if default is None else default,
            metavar="DIR",
            help="folder of the run" + ("" if default is None else f" (default: {default})"),
        )

    def add_resume(self) -> None:
        self.add_argument("--resume", action="store_true", help="continue the run in --out")


def parser_of_parts(package: str, doc: str | None, parts: Mapping[str, str]) -> Parser:
    """Returns the parser of a package whose parts are modules with `add_options` and `run`.

    Args:
        parts: the task of each part, by its name: a module, or a package with a module `command`.
    """
    parser = Parser(prog=f"python -m {package}", description=doc)
    commands = parser.add_subparsers(dest="part", required=True)
    for name, task in parts.items():
        module = importlib.import_module(f"{package}.{name}")
        if hasattr(module, "__path__"):
            module = importlib.import_module(f"{package}.{name}.command")
        part = commands.add_parser(name, help=task, description=task)
        part.set_defaults(work=module.run)
        module.add_options(part)
    return parser


def configured(preset: C, options: argparse.Namespace) -> C:
    """Returns the preset with the fields that were given as options."""
    names = [field.name for field in dataclasses.fields(preset)]  # type: ignore[arg-type]
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    for name, value in given.items():
        if isinstance(getattr(preset, name), tuple):
            given[name] = tuple(value)
    return dataclasses.replace(preset, **given)  # type: ignore[type-var]


def make_folder(path: Path) -> None:
    """Makes a folder unless it exists.

    Raises:
        OSError: it cannot be made, or nothing can be written into it.
    """
    path.mkdir(parents=True, exist_ok=True)
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "cannot write to this folder", str(path))


def check_count(name: str, count: int | None, available: int, what: str) -> None:
    """Refuses an option that asks for more than there is.

    Raises:
        ValueError: naming the option.
    """
    if count is not None and count > available:
        raise ValueError(f"--{name} is {count:,}, expected at most {available:,}, all {what}")


def run(parser: Parser, arguments: Sequence[str] | None) -> int:
    """Parses the arguments and calls `options.work(options)`; returns the exit code.

    Parsers set `work` by `set_defaults`. A subcommand also sets `takes`, the names of the options
    that it reads; others are refused. `options.typed` is the command line, for records.

    Returns:
        The result of the work, 0 for None; 2 after a mistake; 130 after Ctrl-C, 143 after SIGTERM,
        and 141 where nobody reads the output any more.
    """
    program = parser.prog.removeprefix("python -m ")
    options = argparse.Namespace()
    with _terminal() as signals:
        try:
            options = parser.parse_args(arguments)
            _refuse_others(parser, options)
            words = sys.argv[1:] if arguments is None else arguments
            options.typed = shlex.join(["python", "-m", program, *map(str, words)])
            code = options.work(options) or 0
            if sys.stdout is not None:
                sys.stdout.flush()
            return code
        except SystemExit as stop:  # Of the parser: --help, or a mistake.
            return stop.code if isinstance(stop.code, int) else 2
        except KeyboardInterrupt:
            advice = ""
            if hasattr(options, "resume") and not hasattr(options, "takes"):
                advice = f"; the same command with --resume goes on from {options.out}"
            _complain(f"stopped{advice}")
            return 143 if signals else 130
        except BrokenPipeError:
            _discard_output()
            return 141
        except (DataError, ValueError, OSError) as error:
            message = str(error)
            if isinstance(error, OSError):
                message = f"{error.filename or 'output'}: {error.strerror or error}"
                _discard_output()
            _complain(f"{program}: {' '.join(message.split())}")
            return 2


def _refuse_others(parser: Parser, options: argparse.Namespace) -> None:
    if hasattr(options, "takes"):
        for name, value in vars(options).items():
            is_read = name in (*options.takes, "takes", "work", "command")
            if not is_read and value != parser.get_default(name):
                parser.error(f"--{name.replace('_', '-')} has no effect on {options.command}")


@contextlib.contextmanager
def _terminal() -> Iterator[list[int]]:
    """Prints each line at once and in any encoding, and makes SIGTERM a Ctrl-C.

    Yields a list that holds SIGTERM's number once it has come.
    """
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure:
        reconfigure(line_buffering=True, errors="replace")
    signals: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return

    def interrupt(number: int, _frame: Any) -> None:
        signals.append(number)
        if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None):
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)  # To whoever handles it now, such as `training.fit`.

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield signals
    finally:
        signal.signal(signal.SIGTERM, previous)


def _complain(message: str) -> None:
    with contextlib.suppress(OSError):  # Nobody reads stderr either.
        print(message, file=sys.stderr)


def _discard_output() -> None:
    """Sends the rest of stdout nowhere, so that the interpreter can flush it when it ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
        return
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
