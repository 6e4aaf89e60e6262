"""Weights and masks as pictures: a row for each query, a column for each key."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jattn.masks import Mask
from jattn.plots.cells import draw, panels
from jattn.plots.labelled import Labels, Links, labelled

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
        weights: of t queries to s keys, rows and columns.
        queries: a label for each row, or a string, one letter a row; numbers without.
        keys: the same for columns.
        links: pairs (row, column) that are outlined, such as an alignment made by hand.
        ax: where to draw instead of a new figure.

    Raises:
        ValueError: if weights is no matrix, a label is missing or left over, or a link is outside.
        ImportError: if matplotlib is not installed.
    """
    drawn = labelled("attention_map", weights, queries, keys, links)
    if ax is None:
        return panels([drawn], [title], columns=1, bar="attention weight")
    figure = ax.figure.figure
    figure.colorbar(draw(ax, drawn, title), ax=ax, label="attention weight")
    return figure


def attention_grid(
    maps: Sequence[tuple[Any, Labels, Labels, str | None]],
    *,
    links: Sequence[Links] | None = None,
    columns: int = 4,
) -> "Figure":
    """Draws several attention maps, (weights, queries, keys, title) each, on one scale.

    Args:
        links: for each map the pairs (row, column) that are outlined, or None.

    Raises:
        ValueError: if there is no map, or one does not fit its labels or its links.
        ImportError: if matplotlib is not installed.
    """
    if not maps:
        raise ValueError("attention_grid: maps is empty, expected at least one")
    links = [None] * len(maps) if links is None else links
    if len(links) != len(maps):
        raise ValueError(f"attention_grid: links has {len(links)} entries, expected {len(maps)}")
    drawn = [
        labelled("attention_grid", *one[:3], links=pairs)
        for one, pairs in zip(maps, links, strict=True)
    ]
    return panels(drawn, [one[3] for one in maps], columns=columns, bar="attention weight")


def mask_picture(mask: Any, t: int, s: int, *, title: str | None = None) -> "Figure":
    """Draws, dark, which of `s` keys each of `t` queries may attend to.

    Args:
        mask: a mask of `jattn.masks` or an array of booleans.

    Raises:
        ValueError: if the mask is for another number of queries or keys.
        ImportError: if matplotlib is not installed.
    """
    allowed = np.asarray(mask.dense(t, s) if isinstance(mask, Mask) else mask)
    if allowed.shape != (t, s):
        raise ValueError(f"mask_picture: mask has shape {allowed.shape}, expected ({t}, {s})")
    return panels([labelled("mask_picture", allowed, None, None)], [title], columns=1, bar=None)
