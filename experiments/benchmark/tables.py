"""The tables of the page."""

from collections.abc import Callable, Sequence

from experiments.benchmark import summary
from experiments.benchmark.measure import Cell
from experiments.benchmark.prepared import OWN, PEERS
from experiments.benchmark.record import Record
from experiments.benchmark.rows import GRADIENT
from experiments.benchmark.summary import Line
from experiments.results import Table


def rows(record: Record) -> Table:
    """Returns a line for each row and direction: time and error of jattn and of the best peer."""
    columns = ["row", "direction", "jattn", "error", "best peer", "its time", "its error"]
    columns += ["best / jattn", "jax.nn / jattn"]
    lines = []
    for line in summary.lines(record):
        best = line.best()
        other = None if best is None else line.cells[best]
        cells = [direction_title(line.direction), time(line.own), error(line.own)]
        cells += ["" if best is None else title(best), time(other), error(other)]
        ratio = number(line.best_ratio())
        lines.append(
            [line.name, *cells, f"**{ratio}**" if ratio else "", number(line.ratio("jax.nn"))]
        )
    return Table(f"Every row, jax {record['versions']['jax']}", columns, lines)


def versions_of_jax(records: Sequence[Record]) -> Table:
    """Returns jattn's time and jax.nn's ratio to it for each version of JAX."""
    names = [f"jax {record['versions']['jax']}" for record in records]
    by_place = [
        {(line.name, line.direction): line for line in summary.lines(record)} for record in records
    ]
    lines = []
    for place in by_place[0]:
        found = [lines_of[place] for lines_of in by_place if place in lines_of]
        if len(found) == len(records):
            lines.append(
                [
                    place[0],
                    direction_title(place[1]),
                    *(time(line.own) for line in found),
                    *(number(line.ratio("jax.nn")) for line in found),
                ]
            )
    columns = ["row", "direction", *(f"jattn, {name}" for name in names)]
    columns += [f"jax.nn / jattn, {name}" for name in names]
    return Table("jattn's time, and jax.nn's time over it in the same run", columns, lines)


def every_peer(name: str, lines: Sequence[Line], show: Callable[[Line, str], str]) -> Table:
    """Returns a table with a line for each row and a column for each peer."""
    peers = summary.peers_of(list(lines))
    cells = [[line.name, *(show(line, peer) for peer in peers)] for line in lines]
    return Table(name, ["row", *map(title, peers)], cells)


def ratio_of(line: Line, peer: str) -> str:
    """Formats a peer's time over jattn's, or jattn's time."""
    if peer == OWN:
        return time(line.own)
    cell, ratio = line.cells.get(peer), line.ratio(peer)
    if cell is None or ratio is None:
        return "" if cell is None else "–"
    return f"{ratio:.2f}{wrong_mark(cell)}"


def bound_of(line: Line, peer: str) -> str:
    """Formats the least time of the products, or the share of a peer's time that it is."""
    bound, cell = (line.own or {}).get("bound"), line.cells.get(peer, {})
    if not bound or "median" not in cell:
        return "–" if cell else ""
    return (
        f"{time({'median': bound})}, {bound / cell['median']:.2f}"
        if peer == OWN
        else (f"{bound / cell['median']:.2f}")
    )


def collectives_of(line: Line, peer: str) -> str:
    cell = line.cells.get(peer, {})
    if "collectives" not in cell:
        return "–" if cell else ""
    return f"{time(cell)} {direction_title(line.direction)}, {cell['collectives']} collectives"


def error_of(line: Line, peer: str) -> str:
    return error(line.cells.get(peer))


def first_call_of(line: Line, peer: str) -> str:
    cell = line.cells.get(peer, {})
    return f"{cell['first']:.2f}" if "first" in cell else "–" if cell else ""


def memory_of(line: Line, peer: str) -> str:
    cell = line.cells.get(peer, {})
    if "memory" not in cell:
        return "–" if cell else ""
    return f"{cell['memory'] / 2**20:.0f}" if cell["memory"] >= 2**20 else "< 1"


def title(peer: str) -> str:
    return PEERS[peer].title if peer in PEERS else peer


def direction_title(direction: str) -> str:
    return "forward + backward" if direction == GRADIENT else "forward"


def number(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def error(cell: Cell | None) -> str:
    """Formats the error of the output, and of the gradients where there are some."""
    names = [name for name in ("error", "gradient_error") if name in (cell or {})]
    return " / ".join(f"{(cell or {})[name]:.1e}" for name in names)


def time(cell: Cell | None) -> str:
    """Formats a time with three digits, or a dash without one."""
    if cell is None or "median" not in cell:
        return "–" if cell else ""
    value = cell["median"]
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)):
        if value >= size or unit == "ns":
            number = f"{value / size:.3g}" if value < 1000 * size else f"{value / size:.0f}"
            return f"{number} {unit}{wrong_mark(cell)}"
    raise AssertionError("the last unit fits any time")


def wrong_mark(cell: Cell) -> str:
    return " (wrong)" if summary.is_wrong(cell) else ""


def reasons(record: Record) -> list[str]:
    """Returns a line for each peer and reason, with the families and directions of its rows."""
    places: dict[tuple[str, str], list[str]] = {}
    for line in summary.lines(record):
        for peer, cell in line.cells.items():
            for kind in cell.keys() & {"reason", "memory_reason"}:
                same = [cells[peer].get(kind) == cell[kind] for cells in line.row["cells"].values()]
                place = line.row["family"]
                place += "" if all(same) else f" {direction_title(line.direction)}"
                places.setdefault((peer, cell[kind]), []).append(place)
    return [
        f"- {title(peer)}: {reason} ({', '.join(dict.fromkeys(places[peer, reason]))})"
        for peer, reason in sorted(places, key=lambda place: [*PEERS].index(place[0]))
    ]
