"""Prints tables of attention, normalizers, GRUs and converted weights, as JSON too where asked."""

import argparse
import json
import platform
import sys

import jax
import numpy as np

from experiments.differences import attention, conversion, normalizers, recurrent
from experiments.differences.libraries import LIBRARIES
from experiments.differences.measures import rows_of
from experiments.differences.table import as_markdown, as_text
from jattn.atomic import write_atomically

TABLES = {
    "ATTENTION": attention.COLUMNS,
    "NORMALIZERS": normalizers.COLUMNS,
    "GRU": recurrent.COLUMNS,
    "CONVERTED": conversion.COLUMNS,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="experiments.differences", description=__doc__)
    parser.add_argument("--markdown", action="store_true", help="tables for a document")
    parser.add_argument("--out", metavar="FILE", help="write tables and versions as JSON")
    parser.add_argument("--only", nargs="+", metavar="LIBRARY", help=", ".join(LIBRARIES))
    options = parser.parse_args()
    for name in options.only or ():
        if name not in LIBRARIES:
            parser.error(f"--only: {name} is none of {', '.join(LIBRARIES)}")
    jax.config.update("jax_enable_x64", True)
    record: dict[str, object] = {
        "versions": {"python": platform.python_version(), "numpy": np.__version__}
    }
    for kind, columns in TABLES.items():
        libraries = options.only or LIBRARIES
        rows = [row for library in libraries for row in rows_of(library, kind, columns)]
        record[kind.lower()] = rows
        names = ["library", "version", *columns]
        print((as_markdown if options.markdown else as_text)(names, rows), end="\n\n")
    if options.out:
        try:
            write_atomically(options.out, json.dumps(record, indent=2).encode() + b"\n")
        except OSError as error:
            parser.error(f"--out: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
