"""One matrix drawn cell by cell, with its labels and links."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jattn.plots.figure import colours, families, in_style, tone
from jattn.plots.labelled import Labelled, clipped, widest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINE = 0.17  # Inches, for the font of ten points that matplotlib writes with.
LONGEST = 24  # Characters of a label.
LINKED = "#D55E00"  # Of Okabe and Ito's palette; as far from the lightest cell as from the darkest.


def draw(
    ax: "Axes",
    drawn: Labelled,
    title: str | None,
    *,
    highest: float | None = None,
    aspect: str = "equal",
    beside: bool = True,
    above: bool = True,
) -> Any:
    """Draws one matrix into `ax`, with labels beside and above it; returns its image.

    The scale ends at `highest`, by default at 1, or where the weights do if that is above.
    """
    from matplotlib.ticker import MaxNLocator

    weights, queries, keys, links = drawn
    highest = weights.max(initial=1.0) if highest is None else highest
    image = ax.imshow(weights, colours(), vmin=0.0, vmax=highest, aspect=aspect)  # type: ignore[arg-type]
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
            axis.set_ticks(range(0, count, step), clipped(labels, LONGEST)[::step], family=fonts)
        else:
            axis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
            axis.set_label_text(name)
    ax.xaxis.set_label_position("top")
    ax.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    ax.tick_params(axis="x", rotation=90 if upright(keys) else 0)
    if title is not None:
        ax.set_title(title, family=fonts)
    cell = min(height / max(1, len(weights)), width / max(1, weights.shape[1]))
    _separate(ax, len(weights), weights.shape[1], cell)
    _outline(ax, links, cell)
    in_style(ax)
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


def _separate(ax: "Axes", t: int, s: int, cell: float) -> None:
    """Lines between cells of so many inches, where there is room for them."""
    ax.spines[:].set_color(tone(0.3))
    if cell > 0.12 and max(t, s) <= 40:
        ax.set_xticks(np.arange(1, s) - 0.5, minor=True)
        ax.set_yticks(np.arange(1, t) - 0.5, minor=True)
        ax.grid(which="minor", color=tone(0.12), linewidth=0.5)
        ax.tick_params(which="minor", length=0)


def upright(keys: Sequence[str]) -> bool:
    """Whether labels of columns are written upwards: where they are wider than two letters."""
    return widest(keys) > 2
