"""Panels of matrices, their cells all of one size, in rows with one colour bar."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jattn.plots.cells import LINE, LONGEST, draw, upright
from jattn.plots.figure import in_style, new_figure
from jattn.plots.labelled import Labelled, clipped, widest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Inches, for the fonts of ten points that matplotlib writes with.
CELL, LARGEST, LETTER, GAP = 0.28, 9.0, 0.09, 0.15


def panels(
    drawn: Sequence[Labelled],
    titles: Sequence[str | None],
    *,
    columns: int,
    bar: str | None,
    highest: float | None = None,
    rows: Sequence[str] = (),
    outer: bool = False,
) -> "Figure":
    """A figure of matrices in rows of `columns`, with a colour bar labelled `bar` for all.

    Args:
        highest: where the scale ends, by default at 1 or at the largest weight above.
        rows: a name for each row, at the left.
        outer: whether all have the same labels, written once a row and once a column.
    """
    largest = max(max(one.weights.shape) for one in drawn)
    # A grid that shares its labels is one picture: its columns together have a limit.
    cell = min(CELL, (1.4 / columns if outer else 1.0) * LARGEST / max(1, largest))
    grid = [range(i, min(i + columns, len(drawn))) for i in range(0, len(drawn), columns)]
    above = [
        max(
            1.7 * LINE * (titles[i] is not None) + _above(drawn[i], not outer or not i // columns)
            for i in row
        )
        for row in grid
    ]
    heights = [max(_inches(drawn[i].weights.shape[0], cell) for i in row) for row in grid]
    members = [range(i, len(drawn), columns) for i in range(min(columns, len(drawn)))]
    beside = [
        max(_beside(drawn[i], not outer or not i % columns) for i in column) for column in members
    ]
    beside[0] += 1.7 * LINE * bool(rows)
    widths = [
        max(max(_inches(drawn[i].weights.shape[1], cell), _wide(titles[i])) for i in column)
        for column in members
    ]
    bar_height = min(3.0, max(1.4, sum(above) + sum(heights) - above[0])) if bar else 0.0
    width = sum(beside) + sum(widths) + GAP * len(widths) + (0.9 if bar else 0.0)
    height = max(sum(above) + sum(heights) + GAP * len(grid), above[0] + bar_height + GAP)
    figure = new_figure(width, height)

    def add_axes(left: float, top: float, wide: float, high: float) -> Any:
        return figure.add_axes(
            (left / width, 1.0 - (top + high) / height, wide / width, high / height)
        )

    image = None
    if highest is None:  # Not every normalizer stays below 1.
        highest = max(one.weights.max(initial=1.0) for one in drawn)
    for i, one in enumerate(drawn):
        row, column = divmod(i, columns)
        left = sum(beside[: column + 1]) + sum(widths[:column]) + GAP * column
        top = sum(above[: row + 1]) + sum(heights[:row]) + GAP * row
        t, s = one.weights.shape
        ax = add_axes(left, top, _inches(s, cell), _inches(t, cell))
        image = draw(
            ax,
            one,
            titles[i],
            highest=highest,
            aspect="auto",
            beside=not outer or not column,
            above=not outer or not row,
        )
        if rows and not column:
            middle = 1.0 - (top + 0.5 * _inches(t, cell)) / height
            figure.text(LINE / width, middle, rows[row], size="large", rotation=90, va="center")
    if bar and image is not None:
        place = add_axes(width - 0.75, above[0], 0.15, bar_height)
        in_style(figure.colorbar(image, cax=place, label=bar).ax)
    return figure


def _inches(count: int, cell: float) -> float:
    return max(CELL, count * cell)


def _wide(title: str | None) -> float:
    return 1.2 * LETTER * widest([title or ""])  # In a larger font than labels.


def _beside(drawn: Labelled, shown: bool) -> float:
    return 0.0 if not shown else GAP + LETTER * (widest(clipped(drawn.queries, LONGEST)) or 5)


def _above(drawn: Labelled, shown: bool) -> float:
    if not shown:
        return 0.0
    keys = clipped(drawn.keys, LONGEST)
    lines = LETTER * widest(keys) if upright(keys) else LINE
    return GAP + (lines if keys else 2 * LINE)
