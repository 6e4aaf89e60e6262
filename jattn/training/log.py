"""Log of a run: one JSON object a line."""

import contextlib
import json
import math
import numbers
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

from jattn.atomic import is_replaceable, open_directly


def scalars(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Fetches a dict of scalars as Python numbers.

    Raises:
        ValueError: if a metric is no real number, or if it has the name of a column of the log.
    """
    if not isinstance(metrics, Mapping):
        raise ValueError(f"fit: metrics are a {type(metrics).__name__}, expected a dict of scalars")
    fetched = {}
    for name, value in jax.device_get(dict(metrics)).items():
        if not isinstance(name, str):
            raise ValueError(f"fit: a metric is called {name!r}, expected a string")
        if name in ("step", "phase", "seconds"):
            raise ValueError(f"fit: a metric may not be called {name}, the log has one")
        if getattr(value, "shape", ()) != ():
            raise ValueError(f"fit: metric {name} has shape {value.shape}, expected a scalar")
        number = value.item() if hasattr(value, "item") else value
        if not isinstance(number, numbers.Real):
            raise ValueError(f"fit: metric {name} is {number!r}, expected a real number")
        fetched[name] = number
    return fetched


def cut_back(path: Path, step: int) -> float:
    """Removes the lines after `step` and a torn last line; returns the last one's seconds.

    Raises:
        ValueError: if a whole line is no line of a log: the file is left alone.
    """
    kept, seconds = 0, 0.0
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        if not line.endswith(b"\n"):
            break
        try:
            entry = json.loads(line)
            if entry["step"] > step:
                break
            seconds = float(entry["seconds"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"fit: line {number} of {path} is not a line of a log") from error
        kept += len(line)
    os.truncate(path, kept)
    return seconds


@contextlib.contextmanager
def open_log(path: str | os.PathLike | None, resumed_at: int | None) -> Iterator[Callable]:
    """Yields `write(step, phase, values)`; each line reaches the system before it returns.

    A new run replaces the file. A resumed one cuts it back to its step, and `seconds`, the time
    spent training, continues from the last line kept. JSON has no value that is not finite: it is
    written as null. A device or pipe is written to, and never cut back.

    Raises:
        OSError: if the file cannot be written, as on a full disk; the message names `path`.
    """
    if path is None:
        yield lambda step, phase, values: None
        return
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    earlier, mode = 0.0, "wb"
    if resumed_at is not None and path.exists() and is_replaceable(path):
        earlier, mode = cut_back(path, resumed_at), "ab"
    start = time.monotonic()
    with open_directly(path, mode) as file:

        def write(step: int, phase: str, values: Mapping[str, float]) -> None:
            seconds = round(earlier + time.monotonic() - start, 3)
            finite = {name: v if math.isfinite(v) else None for name, v in values.items()}
            entry = json.dumps({"step": step, "phase": phase, **finite, "seconds": seconds})
            line = entry.encode() + b"\n"
            try:
                while line:  # A disk that is filling up takes a part.
                    line = line[file.write(line) :]
            except OSError as error:
                reason = f"cannot write: {error.strerror}"
                raise OSError(error.errno, reason, str(path)) from error

        yield write
