"""Summary of a record: the best peer of each row, ratios to jattn, and geometric means."""

import statistics
from collections.abc import Iterator
from typing import NamedTuple

from experiments.benchmark.checks import WRONG
from experiments.benchmark.measure import Cell, Cells
from experiments.benchmark.prepared import OWN, PEERS
from experiments.benchmark.record import Record


class Line(NamedTuple):
    """One row in one direction; `row` is its entry in the record."""

    name: str
    direction: str
    row: Record
    cells: Cells

    @property
    def own(self) -> Cell | None:
        return self.cells.get(OWN)

    def ratio(self, peer: str | None) -> float | None:
        """Returns the peer's median over jattn's, or None; above 1 jattn is faster."""
        own, other = self.own or {}, self.cells.get(peer or "", {})
        return other["median"] / own["median"] if "median" in own and "median" in other else None

    def best(self) -> str | None:
        """Returns the fastest peer whose result is right."""
        peers = [
            peer
            for peer, cell in self.cells.items()
            if peer != OWN and "median" in cell and not is_wrong(cell)
        ]
        return min(peers, key=lambda peer: self.cells[peer]["median"], default=None)

    def best_ratio(self) -> float | None:
        return self.ratio(self.best())


def is_wrong(cell: Cell) -> bool:
    """Returns whether the result was compared and is wrong."""
    errors = [cell[name] for name in ("error", "gradient_error") if name in cell]
    return not all(error <= WRONG for error in errors)  # NaN is wrong too.


def lines(record: Record) -> list[Line]:
    return [
        Line(name, direction, row, cells)
        for name, row in record["rows"].items()
        for direction, cells in row["cells"].items()
    ]


def means(record: Record) -> Iterator[tuple[str, float, int]]:
    """Yields names of groups of rows, geometric means and numbers of ratios."""
    every = lines(record)
    best = lambda *families: [
        line.best_ratio() for line in every if line.row["family"].startswith(families)
    ]
    long = [
        line for line in every if line.row["kind"] == "attention" and line.row["shape"][1] >= 512
    ]
    for name, ratios in (
        ("all rows, best peer", best("")),
        ("attention with t ≥ 512, jax.nn", [line.ratio("jax.nn") for line in long]),
        ("GRU, best peer", best("gru", "bidirectional")),
        ("dense and causal, best peer", best("dense", "causal")),
        ("gradients of models, best peer", best("transformer", "training")),
    ):
        if found := [ratio for ratio in ratios if ratio is not None]:
            yield name, statistics.geometric_mean(found), len(found)


def peers_of(every: list[Line]) -> list[str]:
    """Returns peers with a measured time, in the order of the table of peers."""
    with_figures = {peer for line in every for peer, cell in line.cells.items() if "median" in cell}
    return [peer for peer in PEERS if peer in with_figures]


def slowest(every: list[Line]) -> list[tuple[Line, float]]:
    """Returns rows where a peer is faster than jattn, the worst first."""
    behind = [(line, ratio) for line in every if (ratio := line.best_ratio()) and ratio < 1]
    return sorted(behind, key=lambda pair: pair[1])
