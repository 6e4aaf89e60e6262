"""Summary of a record: the best peer of each row, ratios to jattn, and geometric means."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from experiments.benchmark.checks import WRONG
from experiments.benchmark.measure import Cell, Cells, geometric_mean
from experiments.benchmark.prepared import OWN, PEERS
from experiments.benchmark.results import Record
from experiments.benchmark.rows import GRADIENT


class Line(NamedTuple):
    """One row in one direction; `row` is its entry in the record."""

    name: str
    direction: str
    row: Record
    cells: Cells

    @property
    def own(self) -> Cell | None:
        return self.cells.get(OWN)

    def ratio(self, peer: str) -> float | None:
        """Returns the peer's median over jattn's, or None; above 1 jattn is faster."""
        own, other = self.own, self.cells.get(peer)
        if own is None or other is None or "median" not in own or "median" not in other:
            return None
        return other["median"] / own["median"]

    def best(self) -> str | None:
        """Returns the fastest peer whose result is right."""
        peers = [
            peer
            for peer, cell in self.cells.items()
            if peer != OWN and "median" in cell and not is_wrong(cell)
        ]
        return min(peers, key=lambda peer: self.cells[peer]["median"], default=None)

    def best_ratio(self) -> float | None:
        best = self.best()
        return None if best is None else self.ratio(best)

    def share(self, rate: float | None) -> float | None:
        """Returns jattn's share of the matrix product's rate on the necessary products."""
        needed, own = self.row["products"][self.direction], self.own
        if rate is None or needed is None or own is None or "median" not in own:
            return None
        return needed / own["median"] / rate


def is_wrong(cell: Cell) -> bool:
    """Returns whether the result was compared and is wrong."""
    return not cell.get("error", 0.0) <= WRONG  # NaN is wrong too.


def lines(record: Record, keep: Callable[[Record], bool]) -> list[Line]:
    return [
        Line(name, direction, row, cells)
        for name, row in record["rows"].items()
        if keep(row)
        for direction, cells in row["cells"].items()
    ]


def measured(record: Record) -> list[Line]:
    """Returns all lines except the limit and the points of curves."""
    return lines(record, lambda row: row["family"] != "limit" and not row["length"])


def curve(record: Record, family: str) -> list[Line]:
    points = lines(record, lambda row: row["family"] == family)
    return sorted(points, key=lambda line: line.row["length"])


def curves(record: Record) -> list[str]:
    """Returns families of points, in the order of the record."""
    return list(dict.fromkeys(row["family"] for row in record["rows"].values() if row["length"]))


def rate(record: Record) -> tuple[float, str] | None:
    """Returns the operations per second of the faster matrix product, and its library."""
    for line in lines(record, lambda row: row["family"] == "limit"):
        best = line.best()
        if best is not None:
            return line.row["products"][line.direction] / line.cells[best]["median"], best
    return None


def means(record: Record) -> Iterator[tuple[str, float, int]]:
    """Yields names of groups of rows, geometric means and numbers of ratios."""
    every = measured(record)
    long = [
        line for line in every if line.row["kind"] == "attention" and line.row["shape"][1] >= 512
    ]
    recurrent = [line for line in every if line.row["kind"] in ("gru", "bidirectional")]
    plain = [line for line in every if line.row["family"] in ("dense", "causal")]
    groups = {
        "all rows, best peer": [line.best_ratio() for line in every],
        "attention with t ≥ 512, jax.nn": [line.ratio("jax.nn") for line in long],
        "GRU, best peer": [line.best_ratio() for line in recurrent],
        "dense and causal, best peer": [line.best_ratio() for line in plain],
        "training steps, best peer": [
            line.best_ratio() for line in every if line.row["kind"] == "training"
        ],
    }
    for name, ratios in groups.items():
        measured_ratios = [ratio for ratio in ratios if ratio is not None]
        if measured_ratios:
            yield name, geometric_mean(measured_ratios), len(measured_ratios)


def title(peer: str) -> str:
    return PEERS[peer].title if peer in PEERS else peer


def direction_title(direction: str) -> str:
    return "forward + backward" if direction == GRADIENT else "forward"


def peers_of(every: list[Line]) -> list[str]:
    """Returns peers with a measured time, in the order of the table of peers."""
    with_figures = {peer for line in every for peer, cell in line.cells.items() if "median" in cell}
    return [peer for peer in PEERS if peer in with_figures]


def slowest(every: list[Line]) -> list[tuple[Line, float]]:
    """Returns rows where a peer is faster than jattn, the worst first."""
    behind = [(line, ratio) for line in every if (ratio := line.best_ratio()) and ratio < 1]
    return sorted(behind, key=lambda pair: pair[1])


def seconds(value: float) -> str:
    """Formats a time with three digits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return (
                f"{value / size:.3g} {unit}"
                if value < 1000 * size
                else f"{value / size:.0f} {unit}"
            )
    return f"{value * 1e9:.0f} ns"


def mebibytes(value: float) -> str:
    return f"{value / 2**20:.0f}" if value >= 2**20 else "< 1"
