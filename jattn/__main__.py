"""The `jattn` command: lists, shows, traces and checks mechanisms, and starts a new one."""

import argparse
import contextlib
import difflib
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import jax

import jattn
from jattn import descriptions
from jattn.catalog import MECHANISMS, Case, CaseCall, Mechanism
from jattn.catalog.row import SIZES
from jattn.catalog.skeleton import files, places, write_all
from jattn.catalog.templates import FAMILIES
from jattn.plots.labelled import printable
from jattn.testing import check
from jattn.tracing import trace
from jattn.tracing.record import table

AXES = sorted({*SIZES, *(axis for row in MECHANISMS for axis in row.sizes)})
GUIDE = "docs/adding-a-mechanism.md"
LARGEST = 2**31 - 1  # Of an axis: the largest index that is an int32.


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command with `arguments`, by default those of the process.

    Returns:
        The exit code: 0, or 1 if a check failed. A mistake of the caller, or of the machine that
        it runs on, ends the process with one line and exit code 2.
    """
    parser = command_line()
    with readable_anywhere():
        try:
            options = parser.parse_args(arguments)
            code = options.run(options)
            if sys.stdout is not None:
                sys.stdout.flush()
            return code
        except BrokenPipeError:  # A reader such as `head` has enough.
            discard_output()
            return 141
        except KeyboardInterrupt:
            return 130
        except MemoryError:
            parser.error("there is not enough memory")
        except OSError as error:
            discard_output()
            message = error.strerror or str(error)
            parser.error(f"{error.filename}: {message}" if error.filename else message)
        except (ValueError, OverflowError, RuntimeError) as error:  # JAX's own are RuntimeErrors.
            parser.error(str(error))


def command_line() -> "Parser":
    """Returns the parser of all commands; each sets `run`, the function that does its work."""
    parser = Parser("jattn", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=Parser)

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> "Parser":
        added = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        added.set_defaults(run=run)
        return added

    listing = command("list", run_list, "list the mechanisms")
    families = dict.fromkeys(row.family for row in MECHANISMS)
    listing.add_argument("--family", choices=[*families], help="those of one family alone")
    ways = listing.add_mutually_exclusive_group()
    ways.add_argument("--json", action="store_true", help="as JSON, one object each")
    text = "measure the errors of each, for minutes, and write them as docs/mechanisms.md"
    ways.add_argument(
        "--markdown", nargs="?", const="-", metavar="FILE", help=f"{text}; without FILE, print them"
    )
    named = "name of a mechanism, such as dot_attention"
    showing = command("show", run_show, "tell what a mechanism is, and how exact it is here")
    showing.add_argument("mechanism", type=mechanism, help=named)
    tracing = command("trace", run_trace, "show the steps of a mechanism, their shapes and cost")
    tracing.add_argument("mechanism", type=mechanism, help=named)
    for axis in AXES:
        text = f"size of axis {axis}, by default that of the catalog"
        tracing.add_argument(f"--{axis}", type=size, metavar="SIZE", help=text)
    checking = command("check", run_check, "compare a mechanism with its oracle")
    checking.add_argument("mechanism", type=mechanism, help=named)
    starting = command("new", run_new, "start a mechanism: write a skeleton that passes all checks")
    starting.add_argument("name", help="its name: lower-case words joined by underscores")
    text = "kind of mechanism (default: %(default)s)"
    starting.add_argument("--family", choices=[*FAMILIES], default="score", help=text)
    text = "write a module, its oracle and their test into FOLDER, for a project of your own"
    starting.add_argument("--in", dest="folder", type=Path, metavar="FOLDER", help=text)
    return parser


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        line = printable(" ".join(message.split()))
        self.exit(2, f"{self.prog}: {line}\n")


@contextlib.contextmanager
def readable_anywhere() -> Iterator[None]:
    """Writes letters that the output's encoding lacks as escapes, instead of raising."""
    streams = [x for x in (sys.stdout, sys.stderr) if isinstance(x, io.TextIOWrapper)]
    before = [stream.errors for stream in streams]
    for stream in streams:
        stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream, errors in zip(streams, before, strict=True):
            stream.reconfigure(errors=errors)


def discard_output() -> None:
    """Drops output that cannot be written, so that Python does not try again at its exit."""
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def mechanism(name: str) -> Mechanism:
    rows = {row.name: row for row in MECHANISMS}
    if name not in rows:
        near = difflib.get_close_matches(name, rows, n=3) or ["`jattn list` lists all"]
        raise argparse.ArgumentTypeError(f"no mechanism is called {name}; near: {', '.join(near)}")
    return rows[name]


def size(text: str) -> int:
    digits = text.lstrip("0") if re.fullmatch("[0-9]+", text) else ""
    if not digits:
        raise argparse.ArgumentTypeError(f"{text} is no size, expected at least 1")
    if len(digits) > len(str(LARGEST)) or int(digits) > LARGEST:
        raise argparse.ArgumentTypeError(f"{text} is no size, expected at most {LARGEST}")
    return int(digits)


def run_list(options: argparse.Namespace) -> int:
    rows = [row for row in MECHANISMS if options.family in (None, row.family)]
    file = options.markdown
    if options.json:
        print(json.dumps([descriptions.record(row) for row in rows], indent=2, ensure_ascii=False))
    elif file is None:
        header = ("name", "family", "cost", "paper")
        lines = [(row.name, row.family, row.cost, row.paper) for row in rows]
        print("\n".join(table(header, lines)))
    elif file == "-":
        print(descriptions.markdown(rows), end="")
    else:
        from jattn.atomic import write_atomically

        check_writable(Path(file))  # Before minutes of measuring.
        write_atomically(file, descriptions.markdown(rows).encode())
    return 0


def run_show(options: argparse.Namespace) -> int:
    print(descriptions.description(options.mechanism))
    return 0


def check_writable(path: Path) -> None:
    """Raises OSError unless a file can be written at `path`."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        kind = "is a directory" if path.is_dir() else f"{folder} is no directory to write in"
        raise OSError(f"cannot write: {path}: {kind}")


def run_trace(options: argparse.Namespace) -> int:
    row = options.mechanism
    sizes = {axis: getattr(options, axis) for axis in AXES if getattr(options, axis) is not None}
    first = row.calls()[0]
    shapes = lambda call: [leaf.shape for leaf in jax.tree.leaves(call.inputs())]
    for axis, axis_size in sizes.items():
        # A size that is one larger is enough to see whether an array has the axis.
        other = first.sizes[axis] + 1 if axis in first.sizes else 1
        changed = CaseCall(row, Case(first.case.options, {**first.case.sizes, axis: other}))
        if shapes(changed) == shapes(first):
            raise ValueError(f"{row.name} has no axis {axis}, given as {axis_size}")
    call = CaseCall(row, Case(first.case.options, {**first.case.sizes, **sizes}))
    print(trace(named(call), *call.inputs()))
    return 0


def run_check(options: argparse.Namespace) -> int:
    row = options.mechanism
    try:
        for call in row.calls():
            with jax.enable_x64(True):
                report = check(
                    named(call),
                    call.oracle,
                    call.inputs(),
                    tolerance=row.tolerance,
                    conditioning=row.conditioning,
                )
            print(report, flush=True)
    except AssertionError as error:
        print(error)
        return 1
    return 0


def run_new(options: argparse.Namespace) -> int:
    if options.folder is not None:
        texts = files(options.name, options.family, options.folder)
    else:
        root = Path(jattn.__file__).parent.parent
        if not (root / "pyproject.toml").exists() or not (root / "tests").is_dir():
            raise ValueError(
                f"jattn is installed in {root}, which is no clone of its repository; "
                "--in FOLDER writes files for a project of your own"
            )
        texts = places(options.name, options.family, root, set(dir(jattn)))
    write_all(texts)
    for path in texts:
        print(path)
    if options.folder is None:
        print(f"next: python -m pytest -k {options.name}; a line in a page: {GUIDE}")
    else:
        print(f"next: python -m pytest {path}")
    return 0


def named(call: CaseCall) -> Callable[..., Any]:
    """Returns the call as a function with the name of its case."""
    function = lambda *inputs: call.function(*inputs)
    function.__name__ = call.name
    return function


if __name__ == "__main__":
    sys.exit(main())
