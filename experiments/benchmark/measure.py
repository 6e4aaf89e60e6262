"""One row: its peers checked, timed in turns, and each one's memory in a process of its own."""

import math
import statistics
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from experiments.benchmark.checks import error
from experiments.benchmark.prepared import TRUTH
from experiments.benchmark.processes import Refused, Worker, Workers
from experiments.benchmark.rows import Row

Cell = dict[str, Any]
Cells = dict[str, Cell]
REST = 0.1  # Seconds in which threads that wait actively give up.
LONG = 1.0  # Seconds of a call of which one is enough for a point of a curve.
CHECKED_UP_TO = 4096  # Length of a curve's points that are compared with float64.


class Settings(NamedTuple):
    """repeats: turns of each peer; visit: seconds of one turn; fresh: memory in new processes."""

    repeats: int
    visit: float
    fresh: bool
    limit: float


def measured(row: Row, peers: list[str], workers: Workers, settings: Settings) -> dict[str, Cells]:
    """Cells by direction and peer; one that could not be measured has its `reason`."""
    found = {}
    for direction in row.directions:
        cells = checked(row, direction, peers, workers)
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
        with ThreadPoolExecutor(2) as pool:  # Memory does not mind company.
            list(pool.map(lambda peer: remembered(row, peer, found, workers), peers))
    return found


def checked(row: Row, direction: str, peers: list[str], workers: Workers) -> Cells:
    """Each peer's time to compile and to call once, and the error of what came out."""
    truth = workers[TRUTH]
    truth.ask("prepare", row, direction)
    _, expected = truth.ask("check")
    truth.ask("forget")
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


def remembered(row: Row, peer: str, found: dict[str, Cells], workers: Workers) -> None:
    """Adds what one call holds beside its inputs, in a process that does nothing else."""
    directions = [name for name, cells in found.items() if "reason" not in cells[peer]]
    if not directions:
        return
    worker = workers.another(peer)
    try:
        for direction in directions:
            worker.ask("prepare", row, direction)
            found[direction][peer]["memory"] = worker.ask("peak")[1]
    except Refused as refused:
        found[direction][peer]["memory_reason"] = str(refused)
    finally:
        worker.stop()


def point(
    row: Row, peers: list[str], before: list[Cells], workers: Workers, settings: Settings
) -> dict[str, Cells]:
    """A point of a curve: each peer in a process of its own, once where a call is long.

    Args:
        before: the cells of the curve's shorter lengths.
    """
    (direction,) = row.directions
    expected = None
    if row.length <= CHECKED_UP_TO:
        workers[TRUTH].ask("prepare", row, direction)
        _, expected = workers[TRUTH].ask("check")
        workers[TRUTH].ask("forget")
    cells: Cells = {}
    for peer in peers:
        reason = hopeless([cells[peer] for cells in before if peer in cells], settings.limit)
        if reason is not None:
            cells[peer] = {"reason": reason}
            continue
        worker = workers.another(peer) if settings.fresh else workers[peer]
        try:
            cells[peer] = one_point(worker, row, direction, expected)
        except (Refused, ValueError) as refused:
            cells[peer] = {"reason": str(refused)}
        finally:
            if settings.fresh:
                worker.stop()
    return {direction: cells}


def one_point(worker: Worker, row: Row, direction: str, expected: Any) -> Cell:
    compiling = worker.ask("prepare", row, direction)
    seconds, memory = worker.ask("peak")
    cell = {"first": compiling + seconds, "memory": memory}
    if expected is not None:
        value, name = error(worker.ask("check")[1], expected)
        cell |= {"error": value, "error_in": name}
    return cell | summary([seconds] if seconds > LONG else worker.ask("time", LONG, 9))


def hopeless(shorter: list[Cell], limit: float) -> str | None:
    """Why a length is not tried, given the lengths before it, each half of the next."""
    if not shorter:
        return None
    if "reason" in shorter[-1]:
        return shorter[-1]["reason"].removesuffix(", at a shorter length") + ", at a shorter length"
    growth = 4.0
    if len(shorter) > 1:
        growth = max(2.0, shorter[-1]["median"] / shorter[-2]["median"])
    expected = shorter[-1]["median"] * growth
    return f"would take about {expected:.0f} s" if expected > limit else None


def geometric_mean(values: Iterable[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, values)))
