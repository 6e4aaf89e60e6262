"""The file of results: finished rows are kept, so an interrupted run continues."""

import datetime
import json
from pathlib import Path
from typing import Any

from experiments.benchmark import masks
from experiments.benchmark.inputs import draw
from experiments.benchmark.machine import versions
from experiments.benchmark.measure import Cells
from experiments.benchmark.rows import Row, products
from experiments.machine import machine
from jattn.atomic import write_atomically

Record = dict[str, Any]


class Mismatch(ValueError):
    """A file of another machine, other versions or other settings."""


class Results:
    """Rows by name, with the cells of each direction, as `path` holds them."""

    def __init__(self, path: Path, settings: Record):
        self.path = path
        self.record: Record = {
            "machine": machine(),
            "versions": versions(),
            "settings": settings,
            "began": now(),
            "rows": {},
        }

    def load(self) -> None:
        """Reads the record of the file, if there is one.

        Raises:
            Mismatch: naming what differs.
            ValueError: the file is no record.
        """
        if not self.path.exists():
            return
        record = read(self.path)
        for part in ("machine", "versions", "settings"):
            for name in {**record[part], **self.record[part]}:
                held, here = (one[part].get(name) for one in (record, self.record))
                if held != here:
                    raise Mismatch(
                        f"{self.path}: holds a run with {name} {held}, here it is {here}; "
                        "--fresh without --rows starts anew, --out goes elsewhere"
                    )
        self.record = record

    def add_command(self, command: str) -> None:
        """Appends a command line, unless the same command continues its run."""
        commands = self.record.setdefault("commands", [])
        if command not in commands:
            commands.append(command)

    def drop(self, rows: list[Row]) -> None:
        for row in rows:
            self.record["rows"].pop(row.name, None)

    def has(self, row: Row, peers: list[str]) -> bool:
        held = self.record["rows"].get(row.name)
        return held is not None and all(
            peer in held["cells"][direction] for direction in row.directions for peer in peers
        )

    def cells(self, row: Row) -> dict[str, Cells]:
        return self.record["rows"].get(row.name, {}).get("cells", {})

    def put(self, row: Row, cells: dict[str, Cells]) -> None:
        """Adds a row and writes the file."""
        inputs = draw(row) if row.padded or row.documents else {}
        pairs = masks.pairs(row, inputs)
        self.record["rows"][row.name] = {
            "family": row.family,
            "kind": row.kind,
            "shape": list(row.shape),
            "length": row.length,
            "date": now(),
            "products": {name: products(row, name, pairs) for name in row.directions},
            "cells": cells,
        }
        self.record["ended"] = now()
        text = json.dumps(self.record, indent=1, default=float)
        write_atomically(self.path, text.encode() + b"\n")


def read(path: Path) -> Record:
    """Reads a record from a file.

    Raises:
        OSError: naming the path.
        ValueError: it is no record.
    """
    try:
        record = json.loads(path.read_text("utf-8"))
        for part in ("machine", "versions", "settings", "rows"):
            record[part].keys()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: is no record of the benchmark") from error
    return record


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
