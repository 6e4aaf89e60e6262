"""Pictures of weights and masks: a row for each query, a column for each key."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jattn.masks import Mask
from jattn.plots.cells import draw
from jattn.plots.figure import in_style
from jattn.plots.labelled import Labels, Links, check_count, labelled, printable
from jattn.plots.panels import panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def attention_map(
    weights: Any,
    queries: Labels = None,
    keys: Labels = None,
    *,
    links: Links = None,
    ax: "Axes | None" = None,
    title: str | None = None,
) -> "Figure":
    """Draws attention weights on a scale from 0 to 1, with the labels of queries and keys.

    Args:
        weights: [t s], of t queries to s keys.
        queries: a label for each row, or a string, one letter a row; by default numbers.
        keys: the same for columns.
        links: pairs (row, column) that are outlined, such as an alignment made by hand.
        ax: axes to draw into instead of a new figure.
        title: a title above the map.

    Raises:
        ValueError: if weights is no matrix, a weight is negative or not finite, the number of
            labels differs from that of rows or columns, or a link is outside.
        ImportError: if matplotlib is not installed.
    """
    matrix = labelled("attention_map", weights, queries, keys, links)
    if ax is None:
        return panels([matrix], [title], columns=1, bar="attention weight")
    figure = ax.figure.figure
    title = None if title is None else printable(str(title), keep="\n")
    in_style(figure.colorbar(draw(ax, matrix, title), ax=ax, label="attention weight").ax)
    return figure


def attention_grid(
    maps: Sequence[tuple[Any, Labels, Labels, str | None]],
    *,
    links: Sequence[Links] | None = None,
    columns: int = 4,
) -> "Figure":
    """Draws several attention maps, (weights, queries, keys, title) each, on one scale.

    Args:
        maps: weights with labels and a title, each as for `attention_map`.
        links: for each map the pairs (row, column) that are outlined, or None.
        columns: maps in a row.

    Raises:
        ValueError: if there is no map, a map is not as for `attention_map`, the number of links
            differs from that of maps, or `columns` is below 1.
        ImportError: if matplotlib is not installed.
    """
    maps = list(maps)
    if not maps:
        raise ValueError("attention_grid: maps is empty, expected at least one")
    check_count("attention_grid", "columns", columns)
    links = [None] * len(maps) if links is None else list(links)
    if len(links) != len(maps):
        raise ValueError(f"attention_grid: links has {len(links)} entries, expected {len(maps)}")
    for index, entry in enumerate(maps):
        if not isinstance(entry, Sequence) or len(entry) != 4:
            expected = "expected (weights, queries, keys, title)"
            raise ValueError(
                f"attention_grid: maps[{index}] is a {type(entry).__name__}, {expected}"
            )
    matrices = [
        labelled("attention_grid", *entry[:3], links=pairs)
        for entry, pairs in zip(maps, links, strict=True)
    ]
    titles = [title for _, _, _, title in maps]
    return panels(matrices, titles, columns=columns, bar="attention weight")


def mask_picture(mask: Any, t: int, s: int, *, title: str | None = None) -> "Figure":
    """Draws, dark, which of `s` keys each of `t` queries may attend to.

    Args:
        mask: a mask of `jattn.masks` or an array of booleans, True where a query may attend.
        t: number of queries.
        s: number of keys.
        title: a title above the picture.

    Raises:
        ValueError: if the mask is for another number of queries or keys, or is not boolean.
        ImportError: if matplotlib is not installed.
    """
    check_count("mask_picture", "t", t, least=0)
    check_count("mask_picture", "s", s, least=0)
    allowed = np.asarray(mask.dense(t, s) if isinstance(mask, Mask) else mask)
    if allowed.shape != (t, s):
        raise ValueError(f"mask_picture: mask has shape {allowed.shape}, expected ({t}, {s})")
    if allowed.dtype != bool:
        raise ValueError(f"mask_picture: mask has dtype {allowed.dtype}, expected bool")
    return panels([labelled("mask_picture", allowed, None, None)], [title], columns=1, bar=None)
