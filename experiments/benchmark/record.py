"""The file of results: finished rows are kept, so an interrupted run continues."""

import datetime
import hashlib
import importlib.metadata
import json
import platform
import re
from pathlib import Path
from typing import Any

import jattn
from experiments import results
from experiments.benchmark.measure import Cells
from experiments.benchmark.prepared import PEERS
from experiments.benchmark.rows import Row
from experiments.machine import machine

Record = dict[str, Any]


def path_in(folder: Path) -> Path:
    """Returns the file of this environment's JAX, so that environments do not share a file."""
    return folder / "results" / f"benchmark-jax-{version('jax')}.json"


def newest_first(folder: Path) -> list[tuple[Path, Record]]:
    """Returns the records of a folder and their files, the newest JAX first.

    Raises:
        ValueError: there is no record, or a file is none.
    """
    number = lambda path: [int(digits) for digits in re.findall(r"\d+", path.stem)]
    files = sorted((folder / "results").glob("benchmark-jax-*.json"), key=number, reverse=True)
    if not files:
        raise ValueError(f"{folder / 'results'} holds no benchmark-jax-*.json")
    return [(file, read(file)) for file in files]


class Recorder:
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
            ValueError: the file is no record, or is of another machine, versions or settings.
        """
        if not self.path.exists():
            return
        record = read(self.path)
        for part in ("machine", "versions", "settings"):
            for name in {**record[part], **self.record[part]}:
                held, here = (one[part].get(name) for one in (record, self.record))
                if held != here:
                    raise ValueError(
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
        self.record["rows"][row.name] = {
            "family": row.family,
            "kind": row.kind,
            "shape": list(row.shape),
            "date": now(),
            "cells": cells,
        }
        self.record["ended"] = now()
        results.write(self.path, self.record)


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


def versions() -> dict[str, str]:
    names = ["jaxlib", "numpy", *dict.fromkeys(peer.distribution for peer in PEERS.values())]
    found = {name: version(name) for name in names}
    return {"python": platform.python_version(), **found, "jattn sources": sources()}


def version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "of the checkout" if distribution == "jattn" else "not installed"


def sources() -> str:
    """Returns a digest of jattn's modules, so that no run is continued with other code."""
    digest = hashlib.sha256()
    root = Path(jattn.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()[:12]
