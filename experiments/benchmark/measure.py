"""Measures a row: errors, times in turns, and the memory of each peer in a process of its own."""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from experiments.benchmark.checks import Result, errors
from experiments.benchmark.prepared import OWN, TRUTH
from experiments.benchmark.processes import Refused, Workers
from experiments.benchmark.rows import GRADIENT, Row

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
    results = {}
    expected = truth(row, workers)
    for direction in row.directions:
        cells = {peer: checked(row, direction, peer, workers, expected) for peer in peers}
        results[direction] = cells
        timed(row, cells, workers, settings)
        if row.devices == 1 and "reason" not in cells[OWN]:
            count, rate = workers.of(OWN).ask("operations")
            cells[OWN]["bound"] = count * (3 if direction == GRADIENT else 1) / rate
        if not settings.fresh:
            for peer, cell in cells.items():
                if "reason" not in cell:
                    cell["memory"] = workers.of(peer, row.devices).ask("peak")[1]
    for peer in peers:
        worker = workers.of(peer, row.devices)
        if worker.process is not None:
            worker.ask("forget")
    if settings.fresh:
        with ThreadPoolExecutor(2) as pool:  # Memory measurements can run in parallel.
            list(pool.map(lambda peer: remembered(row, peer, results, workers), peers))
    return results


def truth(row: Row, workers: Workers) -> Result:
    """Returns the output and, if the row has that direction, the gradients in float64.

    Raises:
        Refused: it takes too long or too much memory.
    """
    worker = workers.of(TRUTH)
    worker.ask("prepare", row, row.directions[-1])
    _, expected = worker.ask("check")
    worker.ask("forget")
    return expected


def checked(row: Row, direction: str, peer: str, workers: Workers, expected: Result) -> Cell:
    """Returns the errors of a peer's result and the seconds of its first call, with compiling."""
    worker = workers.of(peer, row.devices)
    try:
        compiling = worker.ask("prepare", row, direction)
        first, result = worker.ask("check")
        cell: Cell = {"first": compiling + first, **errors(result, expected)}
        if row.devices > 1:
            cell["collectives"] = worker.ask("collectives")
    except (Refused, ValueError) as refused:
        return {"reason": str(refused)}
    return cell


def timed(row: Row, cells: Cells, workers: Workers, settings: Settings) -> None:
    """Adds medians of calls, peers taking turns: A B C, A B C, so that all see the same noise."""
    durations: dict[str, list[float]] = {peer: [] for peer in cells if "reason" not in cells[peer]}
    every = {}
    for turn in range(settings.repeats):
        for peer in list(durations):
            if turn % every.get(peer, 1):
                continue
            time.sleep(REST)
            try:
                calls = workers.of(peer, row.devices).ask("time", settings.visit, 1000)
            except Refused as refused:
                cells[peer] = {"reason": str(refused)}
                del durations[peer]
                continue
            durations[peer] += calls
            if turn == 0:  # A peer whose calls are long takes fewer turns, three at least.
                fewest = max(1, (settings.repeats - 1) // 2)
                every[peer] = max(1, min(fewest, int(calls[0] / (4 * settings.visit))))
    for peer, calls in durations.items():
        cells[peer] |= {"median": statistics.median(calls), "calls": len(calls)}


def remembered(row: Row, peer: str, cells: dict[str, Cells], workers: Workers) -> None:
    """Adds the memory of a call without the inputs, from a process that does nothing else."""
    directions = [name for name, peers in cells.items() if "reason" not in peers[peer]]
    worker = workers.another(peer, row.devices)
    for direction in directions:
        try:
            worker.ask("prepare", row, direction)
            cells[direction][peer]["memory"] = worker.ask("peak")[1]
        except Refused as refused:
            cells[direction][peer]["memory_reason"] = str(refused)
    worker.stop()
