"""All heads of a layer, or of all layers, side by side."""

import math
from typing import TYPE_CHECKING, Any

from jattn.plots.labelled import Labels, Links, check_above_0, labelled, weights_of
from jattn.plots.panels import panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDEST = 8  # Heads of one layer in one row.


def heads_grid(
    weights: Any,
    queries: Labels = None,
    keys: Labels = None,
    *,
    links: Links = None,
    highest: float | None = None,
) -> "Figure":
    """Draws every head on one scale: a row for each layer, a column for each head.

    More than 8 heads of a single layer are drawn in several rows.

    Args:
        weights: [heads t s] or [layers heads t s], of t queries to s keys.
        queries: a label for each row, or a string, one letter a row; by default numbers.
        keys: the same for columns.
        links: pairs (row, column) that are outlined in each head.
        highest: the weight that is drawn darkest, by default 1 or the largest weight if it is
            above 1. A lower number shows more of weights that are spread over many keys.

    Raises:
        ValueError: if weights has another shape or no head, a weight is negative or not finite,
            the number of labels differs from that of rows or columns, a link is outside, or
            `highest` is no number above 0.
        ImportError: if matplotlib is not installed.
    """
    if highest is not None:
        check_above_0("heads_grid", "highest", highest)
    weights = weights_of("heads_grid", weights)
    if weights.ndim not in (3, 4) or 0 in weights.shape[:-2]:
        expected = "(heads, t, s) or (layers, heads, t, s), with a head"
        raise ValueError(f"heads_grid: weights has shape {weights.shape}, expected {expected}")
    layers, heads = (1, *weights.shape[:-2])[-2:]
    flat = weights.reshape(layers * heads, *weights.shape[-2:])
    matrix = labelled("heads_grid", flat[0], queries, keys, links)
    matrices = [matrix._replace(weights=head) for head in flat]
    rows = [f"layer {layer}" for layer in range(layers)] if weights.ndim == 4 else []
    columns = heads if rows else math.ceil(heads / math.ceil(heads / WIDEST))
    titled = len(matrices) if not rows else heads
    titles = [f"head {i % heads}" if i < titled else None for i in range(len(matrices))]
    return panels(
        matrices,
        titles,
        columns=columns,
        bar="attention weight",
        highest=highest,
        rows=rows,
        outer=True,
    )
