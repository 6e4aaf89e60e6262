"""Matrices drawn cell by cell: panels whose cells are all of one size, and what labels them."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jattn.plots.figure import families, new_figure
from jattn.plots.labelled import Labelled, clipped, widest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches, for the fonts of ten points that matplotlib writes with.
CELL, LARGEST, LINE, LETTER, GAP = 0.28, 9.0, 0.17, 0.09, 0.15
LONGEST = 24  # Characters of a label.
COLOURS = "Blues"  # One hue from light to dark: read without colour vision, and in print.
LINKED = "#D55E00"  # Of Okabe and Ito's palette; as far from the lightest cell as from the darkest.


def panels(
    drawn: Sequence[Labelled], titles: Sequence[str | None], *, columns: int, bar: str | None
) -> "Figure":
    """A figure of matrices in rows of `columns`, with a colour bar labelled `bar` for all."""
    largest = max(max(one.weights.shape) for one in drawn)
    cell = min(CELL, LARGEST / max(1, largest))
    grid = [range(i, min(i + columns, len(drawn))) for i in range(0, len(drawn), columns)]
    titled = any(title is not None for title in titles)
    above = [max(_above(drawn[i]) for i in row) + 1.7 * LINE * titled for row in grid]
    heights = [max(_inches(drawn[i].weights.shape[0], cell) for i in row) for row in grid]
    members = [range(i, len(drawn), columns) for i in range(min(columns, len(drawn)))]
    beside = [max(_beside(drawn[i]) for i in column) for column in members]
    widths = [max(_inches(drawn[i].weights.shape[1], cell) for i in column) for column in members]
    bar_height = min(3.0, max(1.4, sum(above) + sum(heights) - above[0])) if bar else 0.0
    width = sum(beside) + sum(widths) + GAP * len(widths) + (0.9 if bar else 0.0)
    height = max(sum(above) + sum(heights) + GAP * len(grid), above[0] + bar_height + GAP)
    figure = new_figure(width, height)

    def add_axes(left: float, top: float, wide: float, high: float) -> Any:
        return figure.add_axes(
            (left / width, 1.0 - (top + high) / height, wide / width, high / height)
        )

    image = None
    for i, one in enumerate(drawn):
        row, column = divmod(i, columns)
        left = sum(beside[: column + 1]) + sum(widths[:column]) + GAP * column
        top = sum(above[: row + 1]) + sum(heights[:row]) + GAP * row
        t, s = one.weights.shape
        ax = add_axes(left, top, _inches(s, cell), _inches(t, cell))
        image = draw(ax, one, titles[i], aspect="auto")
    if bar and image is not None:
        place = add_axes(width - 0.75, above[0], 0.15, bar_height)
        figure.colorbar(image, cax=place, label=bar)
    return figure


def draw(ax: "Axes", drawn: Labelled, title: str | None, *, aspect: str = "equal") -> Any:
    """Draws one matrix and its labels into `ax`; returns the image, for a colour bar."""
    from matplotlib.ticker import MaxNLocator

    weights, queries, keys, links = drawn
    highest = max(1.0, weights.max(initial=0.0))  # Not every normalizer stays below 1.
    image = ax.imshow(weights, COLOURS, vmin=0.0, vmax=highest, aspect=aspect)  # type: ignore[arg-type]
    fonts = families([*queries, *keys, title or ""])
    width, height = ax.get_position().size * ax.figure.figure.get_size_inches()
    for axis, labels, name, inches, count in (
        (ax.yaxis, queries, "query", height, len(weights)),
        (ax.xaxis, keys, "key", width, weights.shape[1]),
    ):
        if labels:
            step = max(1, math.ceil(LINE * count / inches))  # As many as there is room for.
            axis.set_ticks(range(0, count, step), clipped(labels, LONGEST)[::step], family=fonts)
        else:
            axis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
            axis.set_label_text(name)
    ax.xaxis.set_label_position("top")
    ax.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    ax.tick_params(axis="x", rotation=90 if _upright(keys) else 0)
    if title is not None:
        ax.set_title(title, family=fonts)
    _separate(ax, *weights.shape)
    _outline(ax, links, min(height / len(weights), width / weights.shape[1]))
    return image


def _outline(ax: "Axes", links: np.ndarray, cell: float) -> None:
    """Squares inside linked cells of so many inches, seen on light cells and on dark ones."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    line = min(1.8, 10.0 * cell)  # Points, at most a seventh of a cell.
    inset = 0.5 * line / (72.0 * cell) + 0.02
    size = 1.0 - 2.0 * inset
    squares = [Rectangle((s - 0.5 + inset, t - 0.5 + inset), size, size) for t, s in links]
    ax.add_collection(
        PatchCollection(squares, facecolor="none", edgecolor=LINKED, linewidth=line),
        autolim=False,
    )


def _separate(ax: "Axes", t: int, s: int) -> None:
    """Lines between cells, where there is room for them."""
    ax.spines[:].set_color("0.7")
    if max(t, s) <= 40:
        ax.set_xticks(np.arange(1, s) - 0.5, minor=True)
        ax.set_yticks(np.arange(1, t) - 0.5, minor=True)
        ax.grid(which="minor", color="0.88", linewidth=0.5)
        ax.tick_params(which="minor", length=0)


def _upright(keys: Sequence[str]) -> bool:
    return widest(keys) > 2


def _inches(count: int, cell: float) -> float:
    return max(CELL, count * cell)


def _beside(drawn: Labelled) -> float:
    return GAP + LETTER * (widest(clipped(drawn.queries, LONGEST)) or 5)


def _above(drawn: Labelled) -> float:
    keys = clipped(drawn.keys, LONGEST)
    lines = LETTER * widest(keys) if _upright(keys) else LINE
    return GAP + (lines if keys else 2 * LINE)
