"""Lines of code of the mechanisms of each family; `python -m experiments.lines` prints a table.

The lines of a module are divided equally among its mechanisms.
"""

import argparse
import inspect
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Sequence

from experiments import command, results
from jattn.catalog import MECHANISMS, Mechanism


def shares(functions: Sequence[Callable[..., object]]) -> list[float]:
    """Returns the lines of each function's module, over the mechanisms in it."""
    files = [inspect.getfile(inspect.unwrap(function)) for function in functions]
    count = Counter(files)
    lines = {}
    for file in count:
        with open(file, encoding="utf-8") as source:
            lines[file] = sum(1 for _ in source)
    return [lines[file] / count[file] for file in files]


def families() -> dict[str, list[Mechanism]]:
    """Returns the rows of each family, in the order of the catalog."""
    found: dict[str, list[Mechanism]] = {}
    for row in MECHANISMS:
        found.setdefault(row.family, []).append(row)
    return found


def table() -> results.Table:
    """Returns a line for each family: how many mechanisms, and their lines."""
    names = [row.name for row in MECHANISMS]
    of_module = dict(zip(names, shares([row.function for row in MECHANISMS]), strict=True))
    of_oracle = dict(zip(names, shares([row.oracle for row in MECHANISMS]), strict=True))
    rows = []
    for family, members in [*families().items(), ("all", list(MECHANISMS))]:
        modules = [of_module[row.name] for row in members]
        half = len(modules) // 2
        rows.append(
            [
                family,
                str(len(members)),
                f"{statistics.median(modules):.0f}",
                f"{statistics.median(modules[:half] or modules):.0f}",
                f"{statistics.median(modules[half:]):.0f}",
                f"{statistics.median(of_oracle[row.name] for row in members):.0f}",
            ]
        )
    columns = ["family", "mechanisms", "median", "first half", "second half", "oracle"]
    return results.Table("Lines of a mechanism", columns, rows, ["Halves in the catalog's order."])


def show(options: argparse.Namespace) -> None:
    print(results.text(table()))


def main(typed: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command.Parser(prog="python -m experiments.lines", description=__doc__)
    parser.set_defaults(work=show)
    return command.run(parser, typed)


if __name__ == "__main__":
    sys.exit(main())
