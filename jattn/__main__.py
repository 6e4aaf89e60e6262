"""The `jattn` command: the table of mechanisms, one traced, one checked."""

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import jax

from jattn.catalog import MECHANISMS, SIZES, Call, Case, Mechanism
from jattn.testing import ROUNDING, check, precision
from jattn.tracing import trace
from jattn.tracing.record import table

AXES = sorted({*SIZES, *(axis for row in MECHANISMS for axis in row.sizes)})
PREAMBLE = """# Mechanisms

Every mechanism of the catalog, with its cost, its source and its largest errors. Written by
`python -m jattn mechanisms --markdown docs/mechanisms.md`.

The errors are those of the value and of the gradient (`value / gradient`) against the oracle, as
a part of the largest entry of the same array, in units of rounding of the dtype: 2⁻⁵³ in float64,
2⁻²⁴ in float32, 2⁻¹¹ in float16, 2⁻⁸ in bfloat16. In half precision, rounding an exact result
costs up to one. Measured with jax {version} on a {device}, on the case of each row that gives
the most arguments. The letters are the axes of [conventions.md](conventions.md).
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command with `arguments`, by default those of the process; returns its exit code."""
    parser = Parser("jattn", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=Parser)
    listing = commands.add_parser("mechanisms", help="list the mechanisms")
    text = "measure the errors of each, which takes a minute or two, and write docs/mechanisms.md"
    listing.add_argument("--markdown", nargs="?", const="-", metavar="FILE", help=text)
    tracing = commands.add_parser("trace", help="show the four steps of a mechanism and their cost")
    tracing.add_argument("mechanism", type=mechanism)
    for axis in AXES:
        tracing.add_argument(
            f"--{axis}", type=positive, metavar="SIZE", help=f"size of axis {axis}"
        )
    checking = commands.add_parser("check", help="compare a mechanism with its oracle")
    checking.add_argument("mechanism", type=mechanism)
    options = parser.parse_args(arguments)
    try:
        if options.command == "mechanisms":
            return run_mechanisms(options.markdown)
        run = run_trace if options.command == "trace" else run_check
        return run(options.mechanism, vars(options))
    except (ValueError, OSError) as error:
        parser.error(str(error))


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without repeating the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def mechanism(name: str) -> Mechanism:
    rows = {row.name: row for row in MECHANISMS}
    if name not in rows:
        near = difflib.get_close_matches(name, rows, n=3) or ["`jattn mechanisms` lists all"]
        raise argparse.ArgumentTypeError(f"no mechanism is called {name}; near: {', '.join(near)}")
    return rows[name]


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no size, expected at least 1")
    return int(text)


def run_mechanisms(file: str | None) -> int:
    if file is None:
        header = ("name", "family", "cost", "paper")
        rows = [(row.name, row.family, row.cost, row.paper) for row in MECHANISMS]
        print("\n".join(table(header, rows)))
    elif file == "-":
        print(markdown(), end="")
    else:
        from jattn.atomic import write_atomically

        write_atomically(file, markdown().encode())
    return 0


def run_trace(row: Mechanism, options: dict[str, Any]) -> int:
    given = {axis: options[axis] for axis in AXES if options[axis] is not None}
    first = row.calls()[0]
    shapes = lambda call: [leaf.shape for leaf in jax.tree.leaves(call.inputs())]
    for axis, size in given.items():
        changed = Call(row, Case(first.case.options, {**first.case.sizes, axis: size}))
        if size != first.sizes[axis] and shapes(changed) == shapes(first):
            raise ValueError(f"{row.name} has no axis {axis}")
    call = Call(row, Case(first.case.options, {**first.case.sizes, **given}))
    print(trace(named(call), *call.inputs()))
    return 0


def run_check(row: Mechanism, _: dict[str, Any]) -> int:
    try:
        for call in row.calls():
            with jax.enable_x64(True):
                print(check(named(call), call.oracle, call.inputs(), tolerance=row.tolerance))
    except AssertionError as error:
        print(error)
        return 1
    return 0


def named(call: Call) -> Callable[..., Any]:
    """The call as a function that is called as its case is."""
    function = lambda *inputs: call.function(*inputs)
    function.__name__ = call.name
    return function


def markdown() -> str:
    """The text of docs/mechanisms.md: a table for each family."""
    text = PREAMBLE.format(version=jax.__version__, device=jax.devices()[0].platform.upper())
    for family in dict.fromkeys(row.family for row in MECHANISMS):
        text += f"\n## {family.capitalize()}\n\n"
        text += f"| Mechanism | Cost | Source | {' | '.join(ROUNDING)} |\n"
        text += f"|---|---|---|{'---:|' * len(ROUNDING)}\n"
        for row in (row for row in MECHANISMS if row.family == family):
            path = row.function.__module__.replace(".", "/")
            link = r"[arXiv:\1](https://arxiv.org/abs/\1)"
            source = re.sub(r"arXiv:(\d+\.\d+(?:v\d+)?)", link, row.paper)
            cells = [f"[`{row.name}`](../{path}.py)", f"`{row.cost}`", source]
            text += f"| {' | '.join([*cells, *(errors(row, dtype) for dtype in ROUNDING)])} |\n"
    return text


def errors(row: Mechanism, dtype: str) -> str:
    """The largest errors of the value and of the gradient, in units of rounding."""
    call = row.hardest()
    with jax.enable_x64(True):
        findings = precision(call.function, call.oracle, call.inputs(), dtype=dtype)
    unit = ROUNDING[dtype]
    worst = lambda what: max((f.error / unit for f in findings if f.what.endswith(what)), default=0)
    return f"{worst('value'):.2f} / {worst('gradient'):.2f}"


if __name__ == "__main__":
    sys.exit(main())
