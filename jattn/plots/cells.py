"""One matrix drawn cell by cell, with its labels and links."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from jattn.plots.figure import LITERAL, colours, families, in_style, tone
from jattn.plots.labelled import LabelledMatrix, clipped, widest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINE = 0.17  # Inches, for the font of ten points that matplotlib writes with.
LONGEST = 24  # Characters of a label.
LINKED = "#D55E00"  # Of Okabe and Ito's palette; as far from the lightest cell as from the darkest.


def draw(
    ax: "Axes",
    matrix: LabelledMatrix,
    title: str | None,
    *,
    highest: float | None = None,
    aspect: Literal["equal", "auto"] = "equal",
    beside: bool = True,
    above: bool = True,
) -> Any:
    """Draws one matrix into `ax`, with labels beside and above it; returns its image.

    The scale ends at `highest`, by default at 1 or at the largest weight if it is above 1.
    """
    from matplotlib.ticker import MaxNLocator

    weights, queries, keys, links = matrix
    highest = weights.max(initial=1.0) if highest is None else highest
    # Axes of no cells have the room of one: limits that are the same are none.
    edges = (-0.5, max(1, weights.shape[1]) - 0.5, max(1, len(weights)) - 0.5, -0.5)
    image = ax.imshow(
        weights,
        colours(),
        vmin=0.0,
        vmax=highest,
        aspect=aspect,  # type: ignore[arg-type]
        extent=edges,  # type: ignore[arg-type]
    )
    fonts = families([*queries, *keys, title or ""])
    width, height = ax.get_position().size * ax.figure.figure.get_size_inches()
    for axis, labels, name, inches, count, shown in (
        (ax.yaxis, queries, "query", height, len(weights), beside),
        (ax.xaxis, keys, "key", width, weights.shape[1], above),
    ):
        if not shown:
            axis.set_ticks([])
        elif labels:
            step = max(1, math.ceil(LINE * count / inches))  # As many as there is room for.
            ticks = range(0, count, step)
            axis.set_ticks(ticks, clipped(labels, LONGEST)[::step], family=fonts, **LITERAL)
        else:
            axis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
            axis.set_label_text(name)
    ax.xaxis.set_label_position("top")
    ax.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    ax.tick_params(axis="x", rotation=90 if upright(keys) else 0)
    if title is not None:
        ax.set_title(title, family=fonts, **LITERAL)
    cell = min(height / max(1, len(weights)), width / max(1, weights.shape[1]))
    _separate(ax, len(weights), weights.shape[1], cell)
    _outline(ax, links, cell)
    in_style(ax)
    return image


def _outline(ax: "Axes", links: np.ndarray, cell: float) -> None:
    """Draws squares inside linked cells of so many inches, visible on light and dark cells."""
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


def _separate(ax: "Axes", t: int, s: int, cell: float) -> None:
    """Draws lines between cells of so many inches, if there is room for them.

    All are one line with gaps: a grid of minor ticks takes ten times as long.
    """
    ax.spines[:].set_color(tone(0.3))
    if cell > 0.12 and max(t, s) <= 40:
        across = [(x, y) for y in np.arange(1, t) - 0.5 for x in (-0.5, s - 0.5, np.nan)]
        down = [(x, y) for x in np.arange(1, s) - 0.5 for y in (-0.5, t - 0.5, np.nan)]
        places = np.array([*across, *down]).reshape(-1, 2).T
        limits = ax.get_xlim(), ax.get_ylim()
        ax.plot(*places, color=tone(0.12), linewidth=0.5, zorder=1)
        ax.set(xlim=limits[0], ylim=limits[1])


def upright(keys: Sequence[str]) -> bool:
    """Returns whether column labels are written upwards: if one is wider than two letters."""
    return widest(keys) > 2
