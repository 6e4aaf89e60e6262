"""Points of a curve, time and memory against length: one process a point and peer."""

from typing import Any

from experiments.benchmark.checks import error
from experiments.benchmark.measure import Cell, Cells, Settings, summary, truth
from experiments.benchmark.processes import Refused, Worker, Workers
from experiments.benchmark.rows import Row

LONG = 10.0  # Seconds of a call of which one is enough, the first.
VISIT = 1.0  # Seconds of the calls after the first one, where it was shorter.
CHECKED_UP_TO = 4096  # Length of the points that are compared with float64.


def point(
    row: Row, peers: list[str], before: list[Cells], workers: Workers, settings: Settings
) -> dict[str, Cells]:
    """Measures a point of a curve: each peer in its own process, once if a call is long.

    Args:
        before: the cells of the curve's shorter lengths.
    """
    (direction,) = row.directions
    expected = truth(row, workers) if row.length <= CHECKED_UP_TO else None
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
    return cell | summary([seconds] if seconds > LONG else worker.ask("time", VISIT, 9))


def hopeless(shorter: list[Cell], limit: float) -> str | None:
    """Returns a reason not to try a length, from results of shorter ones, each half the next."""
    if not shorter:
        return None
    if "reason" in shorter[-1]:
        return shorter[-1]["reason"].removesuffix(", at a shorter length") + ", at a shorter length"
    growth = 4.0
    if len(shorter) > 1:
        growth = max(2.0, shorter[-1]["median"] / shorter[-2]["median"])
    expected = shorter[-1]["median"] * growth
    return f"would take about {expected:.0f} s" if expected > limit else None
