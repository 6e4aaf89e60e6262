"""One row: its peers checked, timed in turns, and each one's memory in a process of its own."""

import math
import statistics
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from experiments.benchmark.checks import Result, error
from experiments.benchmark.prepared import TRUTH
from experiments.benchmark.processes import Refused, Workers
from experiments.benchmark.rows import Row

Cell = dict[str, Any]
Cells = dict[str, Cell]
REST = 0.1  # Seconds in which threads that wait actively give up.


class Settings(NamedTuple):
    """repeats: turns of each peer; visit: seconds of one turn; fresh: memory in new processes."""

    repeats: int
    visit: float
    fresh: bool
    limit: float


def measured(row: Row, peers: list[str], workers: Workers, settings: Settings) -> dict[str, Cells]:
    """Returns cells by direction and peer; a cell that could not be measured has a `reason`."""
    found = {}
    expected = truth(row, workers)
    for direction in row.directions:
        cells = checked(row, direction, peers, workers, expected)
        timed(cells, workers, settings)
        found[direction] = cells
        if not settings.fresh:
            for peer, cell in cells.items():
                if "reason" not in cell:
                    cell["memory"] = workers[peer].ask("peak")[1]
    for peer in peers:
        if workers[peer].process is not None:
            workers[peer].ask("forget")
    if settings.fresh:
        with ThreadPoolExecutor(2) as pool:  # Memory measurements can run in parallel.
            list(pool.map(lambda peer: remembered(row, peer, found, workers), peers))
    return found


def truth(row: Row, workers: Workers) -> Result:
    """Returns the output and, if the row has that direction, the gradients in float64.

    Raises:
        Refused: it takes too long or too much memory.
    """
    workers[TRUTH].ask("prepare", row, row.directions[-1])
    _, expected = workers[TRUTH].ask("check")
    workers[TRUTH].ask("forget")
    return expected


def checked(
    row: Row, direction: str, peers: list[str], workers: Workers, expected: Result
) -> Cells:
    """Returns each peer's time to compile and to call once, and the error of its result."""
    cells: Cells = {}
    for peer in peers:
        try:
            compiling = workers[peer].ask("prepare", row, direction)
            first, result = workers[peer].ask("check")
            value, name = error(result, expected)
            cells[peer] = {"first": compiling + first, "error": value, "error_in": name}
        except (Refused, ValueError) as refused:
            cells[peer] = {"reason": str(refused)}
    return cells


def timed(cells: Cells, workers: Workers, settings: Settings) -> None:
    """Adds medians of calls, peers taking turns: A B C, A B C, so that all see the same noise."""
    durations: dict[str, list[float]] = {peer: [] for peer in cells if "reason" not in cells[peer]}
    every = {}
    for turn in range(settings.repeats):
        for peer in list(durations):
            if turn % every.get(peer, 1):
                continue
            time.sleep(REST)
            try:
                calls = workers[peer].ask("time", settings.visit, 1000)
            except Refused as refused:
                cells[peer] = {"reason": str(refused)}
                del durations[peer]
                continue
            durations[peer] += calls
            if turn == 0:  # A peer whose calls are long takes fewer turns, three at least.
                fewest = max(1, (settings.repeats - 1) // 2)
                every[peer] = max(1, min(fewest, int(calls[0] / (4 * settings.visit))))
    for peer, calls in durations.items():
        cells[peer] |= summary(calls)


def summary(calls: list[float]) -> Cell:
    lower, median, upper = (
        statistics.quantiles(calls, n=4, method="inclusive") if len(calls) > 1 else calls * 3
    )
    return {"median": median, "quartiles": [lower, upper], "calls": len(calls)}


def remembered(row: Row, peer: str, cells: dict[str, Cells], workers: Workers) -> None:
    """Adds what one call holds beside its inputs, in a process that does nothing else."""
    directions = [name for name, peers in cells.items() if "reason" not in peers[peer]]
    if not directions:
        return
    worker = workers.another(peer)
    try:
        for direction in directions:
            worker.ask("prepare", row, direction)
            cells[direction][peer]["memory"] = worker.ask("peak")[1]
    except Refused as refused:
        cells[direction][peer]["memory_reason"] = str(refused)
    finally:
        worker.stop()


def geometric_mean(values: Iterable[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, values)))
