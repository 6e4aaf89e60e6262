"""Panels of matrices, their cells all of one size, in rows with one colour bar."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jattn.plots.cells import LINE, LONGEST, draw, upright
from jattn.plots.figure import in_style, new_figure
from jattn.plots.labelled import LabelledMatrix, clipped, printable, widest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Inches, for the fonts of ten points that matplotlib writes with.
CELL, LARGEST, LETTER, GAP = 0.28, 9.0, 0.09, 0.15


def panels(
    matrices: Sequence[LabelledMatrix],
    titles: Sequence[Any],
    *,
    columns: int,
    bar: str | None,
    highest: float | None = None,
    rows: Sequence[str] = (),
    outer: bool = False,
) -> "Figure":
    """Returns a figure of matrices in rows of `columns`, with one colour bar labelled `bar`.

    Args:
        matrices: weights with their labels and links.
        titles: a title for each matrix, or None.
        columns: matrices in a row.
        bar: label of the colour bar; None draws none.
        highest: end of the scale, by default 1 or the largest weight if it is above 1.
        rows: a name for each row, at the left.
        outer: whether all have the same labels, written once a row and once a column.
    """
    titles = [None if title is None else printable(str(title), keep="\n") for title in titles]
    largest = max(max(matrix.weights.shape) for matrix in matrices)
    # A grid that shares its labels is one picture: its columns together have a limit.
    cell = min(CELL, (1.4 / columns if outer else 1.0) * LARGEST / max(1, largest))
    count = len(matrices)
    grid = [range(i, min(i + columns, count)) for i in range(0, count, columns)]
    above = [
        max(_high(titles[i]) + _above(matrices[i], not outer or not i // columns) for i in row)
        for row in grid
    ]
    heights = [max(_inches(matrices[i].weights.shape[0], cell) for i in row) for row in grid]
    members = [range(i, count, columns) for i in range(min(columns, count))]
    beside = [
        max(_beside(matrices[i], not outer or not i % columns) for i in column)
        for column in members
    ]
    beside[0] += 1.7 * LINE * bool(rows)
    widths = [
        max(max(_inches(matrices[i].weights.shape[1], cell), _wide(titles[i])) for i in column)
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
        highest = max(matrix.weights.max(initial=1.0) for matrix in matrices)
    for i, matrix in enumerate(matrices):
        row, column = divmod(i, columns)
        left = sum(beside[: column + 1]) + sum(widths[:column]) + GAP * column
        top = sum(above[: row + 1]) + sum(heights[:row]) + GAP * row
        t, s = matrix.weights.shape
        ax = add_axes(left, top, _inches(s, cell), _inches(t, cell))
        image = draw(
            ax,
            matrix,
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
    return 1.2 * LETTER * widest((title or "").split("\n"))  # In a larger font than labels.


def _high(title: str | None) -> float:
    return 0.0 if title is None else (0.7 + 1.0 * len(title.split("\n"))) * LINE


def _beside(matrix: LabelledMatrix, shown: bool) -> float:
    return 0.0 if not shown else GAP + LETTER * (widest(clipped(matrix.queries, LONGEST)) or 5)


def _above(matrix: LabelledMatrix, shown: bool) -> float:
    if not shown:
        return 0.0
    keys = clipped(matrix.keys, LONGEST)
    lines = LETTER * widest(keys) if upright(keys) else LINE
    return GAP + (lines if keys else 2 * LINE)
