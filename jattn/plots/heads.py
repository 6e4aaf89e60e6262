"""All heads of a layer, or of all layers, side by side."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from jattn.plots.labelled import Labels, Links, labelled
from jattn.plots.panels import panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDEST = 8  # Heads of one layer that stand in one row.


def heads_grid(
    weights: Any,
    queries: Labels = None,
    keys: Labels = None,
    *,
    links: Links = None,
    highest: float | None = None,
) -> "Figure":
    """Draws every head on one scale: a row for each layer, a column for each head.

    The heads of one layer stand in several rows if they are many.

    Args:
        weights: of t queries to s keys: [heads t s] or [layers heads t s].
        queries: a label for each row, or a string, one letter a row; numbers without.
        keys: the same for columns.
        links: pairs (row, column) that are outlined in each head.
        highest: the weight that is drawn darkest, 1 by default, or the largest if that is above;
            less shows more of weights that are spread over many keys.

    Raises:
        ValueError: if weights has another shape or no head, a label is missing or left over, or a
            link is outside.
        ImportError: if matplotlib is not installed.
    """
    weights = np.asarray(weights, np.float64)
    if weights.ndim not in (3, 4) or 0 in weights.shape[:-2]:
        expected = "(heads, t, s) or (layers, heads, t, s), with a head"
        raise ValueError(f"heads_grid: weights has shape {weights.shape}, expected {expected}")
    layers, heads = (1, *weights.shape[:-2])[-2:]
    flat = weights.reshape(-1, *weights.shape[-2:])
    drawn = [labelled("heads_grid", one, queries, keys, links) for one in flat]
    rows = [f"layer {layer}" for layer in range(layers)] if weights.ndim == 4 else []
    columns = heads if rows else math.ceil(heads / math.ceil(heads / WIDEST))
    titled = len(drawn) if not rows else heads
    titles = [f"head {i % heads}" if i < titled else None for i in range(len(drawn))]
    bar = "attention weight"
    return panels(drawn, titles, columns=columns, bar=bar, highest=highest, rows=rows, outer=True)
