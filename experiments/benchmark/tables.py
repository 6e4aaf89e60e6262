"""The tables of the page, as Markdown."""

from collections.abc import Callable, Sequence

from experiments.benchmark import summary
from experiments.benchmark.measure import Cell
from experiments.benchmark.prepared import OWN, PEERS
from experiments.benchmark.results import Record
from experiments.benchmark.rows import FORWARD
from experiments.benchmark.summary import Line, title

Table = list[list[str]]


def markdown(table: Table) -> str:
    head, *rows = table
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def text(table: Table) -> str:
    """Formats a table for a terminal."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )


def ratios(record: Record) -> Table:
    """Returns a line for each row and direction: jattn's time, best peer, share of the limit."""
    head = ["row", "direction", "jattn", "best peer", "its time", "best / jattn", "jax.nn / jattn"]
    head.append("share of the limit")
    table, limit = [head], summary.rate(record)
    for line in summary.measured(record):
        best = line.best()
        ratio, share = line.best_ratio(), line.share(limit[0] if limit else None)
        table.append(
            [
                line.name,
                summary.direction_title(line.direction),
                figure(line.own),
                "" if best is None else title(best),
                "" if best is None else figure(line.cells[best]),
                "" if ratio is None else f"**{ratio:.2f}**",
                number(line.ratio("jax.nn")),
                "" if share is None else f"{share:.0%}".replace("%", " %"),
            ]
        )
    return table


def number(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def figure(cell: Cell | None) -> str:
    """Formats a time, or a dash without one."""
    if cell is None:
        return ""
    if "median" not in cell:
        return "–"
    return summary.seconds(cell["median"]) + (" (wrong)" if summary.is_wrong(cell) else "")


def every_peer(
    lines: Sequence[Line], show: Callable[[Line, str], str], first: str = "row"
) -> Table:
    """Returns a table with a line for each row and a column for each peer."""
    peers = summary.peers_of(list(lines))
    table = [[first, *map(title, peers)]]
    for line in lines:
        name = str(line.row["length"]) if line.row["length"] else line.name
        table.append([name, *(show(line, peer) for peer in peers)])
    return table


def ratio_or_reason(line: Line, peer: str) -> str:
    """Formats a peer's time over jattn's, or jattn's time."""
    cell = line.cells.get(peer)
    if peer == OWN:
        return figure(cell)
    ratio = line.ratio(peer)
    if cell is None or ratio is None:
        return "" if cell is None else "–"
    return f"{ratio:.2f}" + (" (wrong)" if summary.is_wrong(cell) else "")


def median_or_reason(line: Line, peer: str) -> str:
    return figure(line.cells.get(peer))


def first_call(line: Line, peer: str) -> str:
    cell = line.cells.get(peer, {})
    return f"{cell['first']:.2f}" if "first" in cell else "–" if cell else ""


def memory(line: Line, peer: str) -> str:
    cell = line.cells.get(peer, {})
    return summary.mebibytes(cell["memory"]) if "memory" in cell else "–" if cell else ""


def reasons(record: Record) -> list[str]:
    """Returns a line for each peer and reason, with the families or points that it concerns."""
    by_reason: dict[tuple[str, str], dict[str, set[str]]] = {}
    for line in summary.lines(record, lambda row: row["family"] != "limit"):
        place = line.name if line.row["length"] else line.row["family"]
        for peer, cell in line.cells.items():
            for reason in (cell.get("reason"), cell.get("memory_reason"), wrong(cell)):
                if reason is not None:
                    places = by_reason.setdefault((peer, reason), {})
                    places.setdefault(place, set()).add(line.direction)
    order = [*PEERS]
    return [
        f"- {title(peer)}: {reason} ({', '.join(map(where, places.items()))})"
        for (peer, reason), places in sorted(
            by_reason.items(), key=lambda item: order.index(item[0][0])
        )
    ]


def where(place: tuple[str, set[str]]) -> str:
    """Formats a family, with the direction if it is one of two."""
    name, directions = place
    one_of_two = len(directions) == 1 and not name.startswith(("scaling", "training", "decode"))
    words = [FORWARD if FORWARD in directions else "backward"] if one_of_two else []
    return " ".join([name, *words])


def wrong(cell: Cell) -> str | None:
    if "median" not in cell or not summary.is_wrong(cell):
        return None
    return f"its {cell['error_in']} is off by {cell['error']:.1e} of the largest entry"
