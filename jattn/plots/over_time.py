"""Where a decoder looks, step by step, and at how much at once."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from jattn.plots.cells import LINE, LINKED
from jattn.plots.curve import HUES
from jattn.plots.figure import families, in_style, new_figure, tone
from jattn.plots.labelled import Labels, Links, clipped, labelled, widest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEP, BELOW, LARGEST, LETTER = 0.28, 1.1, 6.0, 0.09  # Inches.
AREA = 0.75  # Of a step, of the largest weight's dot.
LONGEST = 16  # Characters of a label.


def attention_over_time(
    weights: Any,
    queries: Labels = None,
    keys: Labels = None,
    *,
    links: Links = None,
    title: str | None = None,
) -> "Figure":
    """Draws the steps of a decoder from left to right, and the keys that each looks at upwards.

    A dot's area is its weight. The line goes through the key where each step's weights, added up
    from the first key on, reach a half, in a band from a quarter to three quarters: it rises while
    the decoder reads on, stays where it waits, and falls where it goes back. Below is the number
    of keys that a step looks at, the exponential of the entropy of its weights: 1 for one key
    alone, s for all s keys alike. A step without weights has neither.

    Args:
        weights: of t steps to s keys, rows and columns, none below 0.
        queries: a label for each step, or a string, one letter a step; numbers without.
        keys: the same for keys.
        links: pairs (step, key) that are outlined, such as an alignment made by hand.

    Raises:
        ValueError: if weights is no matrix, a label is missing or left over, or a link is outside.
        ImportError: if matplotlib is not installed.
    """
    weights, queries, keys, pairs = labelled("attention_over_time", weights, queries, keys, links)
    t, s = weights.shape
    (low, middle, high), number = summary(weights)
    step = min(STEP, LARGEST / max(t, s, 1))
    wide, tall = max(2.5, t * step), max(1.0, s * step)
    figure = new_figure(wide + 1.2 + LETTER * widest(clipped(keys, LONGEST)), tall + BELOW + 1.2)
    figure.set_layout_engine("constrained")
    above, below = figure.subplots(2, sharex=True, height_ratios=(tall, BELOW))
    steps, positions = np.nonzero(weights)
    area = AREA * (72.0 * step) ** 2 * weights[steps, positions] / weights.max(initial=1.0)
    above.fill_between(range(t), low, high, color=HUES[5], alpha=0.3, linewidth=0)
    above.plot(middle, color=HUES[5], linewidth=1.5)
    above.scatter(steps, positions, area, color=HUES[0], linewidth=0, zorder=2)
    above.scatter(
        *pairs.T, (60.0 * step) ** 2, marker="s", facecolor="none", edgecolor=LINKED, zorder=3
    )
    below.plot(number, "o-", color=HUES[0], markersize=3)
    above.set(xlim=(-0.6, t - 0.4), ylim=(-0.6, s - 0.4), ylabel="key")
    below.set(ylim=(0.0, None), xlabel="step", ylabel="keys\nlooked at")
    fonts = families([*queries, *keys, title or ""])
    every = math.ceil(LINE / step)  # As many labels as there is room for.
    for axis, labels in ((below.xaxis, queries), (above.yaxis, keys)):
        shown = clipped(labels, LONGEST)
        if labels:
            axis.set_ticks(range(0, len(labels), every), shown[::every], family=fonts)
    below.tick_params(axis="x", rotation=90 if widest(queries) > 2 else 0)
    for ax in (above, below):
        ax.grid(color=tone(0.1), linewidth=0.6)
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
        in_style(ax)
    if title is not None:
        above.set_title(title, family=fonts)
    return figure


def summary(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The keys where a quarter, a half and three quarters are reached, and the number of keys.

    Each for every row; NaN where a row has no weights.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = weights / weights.sum(1, keepdims=True)
        information = np.where(shares == 0.0, 0.0, shares * np.log(shares)).sum(1)
    sums = np.cumsum(shares, 1)
    reached = np.array([(sums < part - 1e-9).sum(1) for part in (0.25, 0.5, 0.75)], np.float64)
    return np.where(np.isnan(information), np.nan, reached), np.exp(-information)
