"""Prints two tables: where jattn and other libraries agree, and where they differ."""

import argparse
import importlib
import sys

import jax

from experiments.differences.agreement.entry import BOUND, Agreement, Entry, measure, version_of
from experiments.differences.table import as_markdown, as_text

# Distributions, and the prefixes of the modules with their entries.
LIBRARIES = {
    "torch": "torch",
    "entmax": "entmax",
    "fla-core": "fla",
    "transformers": "transformers",
    "x-transformers": "x_transformers",
    "torch-geometric": "geometric",
    "keras": "keras",
    "onnx": "onnx",
}
WITHOUT_TORCH = {"keras", "onnx"}


class NotInstalled(Exception):
    """A library, or PyTorch that it runs on, is not installed."""


def entries_of(library: str) -> list[Entry]:
    """Returns the entries of a library.

    Raises:
        NotInstalled: if it is not installed.
    """
    for needed in (library, *(() if library in WITHOUT_TORCH else ("torch",))):
        if version_of(needed) is None:
            raise NotInstalled(f"{needed} is not installed")
    module = f"experiments.differences.agreement.{LIBRARIES[library]}_entries"
    return importlib.import_module(module).ENTRIES


def row_of(entry: Entry, agreement: Agreement) -> dict[str, str]:
    gradients = agreement.gradients
    row = {
        "library": f"{entry.library} {version_of(entry.library)}",
        "function": entry.function,
        "mechanism": entry.mechanism,
        "error": f"{agreement.values:.0e}",
        "of gradients": "no gradient" if gradients is None else f"{gradients:.0e}",
    }
    return row | ({"what differs": entry.differs} if entry.differs else {"conversion": entry.note})


def main() -> int:
    parser = argparse.ArgumentParser(prog="experiments.differences.agreement", description=__doc__)
    parser.add_argument("--markdown", action="store_true", help="tables for a document")
    parser.add_argument("--only", nargs="+", metavar="LIBRARY", help=", ".join(LIBRARIES))
    options = parser.parse_args()
    for name in options.only or ():
        if name not in LIBRARIES:
            parser.error(f"--only: {name} is none of {', '.join(LIBRARIES)}")
    jax.config.update("jax_enable_x64", True)
    same: list[dict[str, str]] = []
    other: list[dict[str, str]] = []
    beyond = []
    for library in options.only or LIBRARIES:
        try:
            entries = entries_of(library)
        except NotInstalled:
            same.append({"library": library, "function": "not installed"})
            continue
        for entry in entries:
            agreement = measure(entry)
            (other if entry.differs else same).append(row_of(entry, agreement))
            if not entry.differs and not agreement.largest <= BOUND:
                beyond.append(entry.name)
    common = ["library", "function", "mechanism", "error", "of gradients"]
    print_table = as_markdown if options.markdown else as_text
    print(print_table([*common, "conversion"], same), end="\n\n")
    print(print_table([*common, "what differs"], other))
    print("".join(f"beyond {BOUND}: {name}\n" for name in beyond), file=sys.stderr, end="")
    return bool(beyond)


if __name__ == "__main__":
    sys.exit(main())
