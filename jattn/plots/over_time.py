"""Pictures of a decoder's attention, step by step."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from jattn.plots.cells import LINE, LINKED
from jattn.plots.curve import HUES
from jattn.plots.figure import LITERAL, families, in_style, new_figure, tone
from jattn.plots.labelled import Labels, Links, clipped, labelled, printable, widest

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
    """Draws the steps of a decoder from left to right, and keys from the bottom up.

    The area of a dot is a weight. The line is the weighted median key of each step, in a band
    from the first to the third quartile. It rises while the decoder reads on, is level while it
    waits, and falls when it goes back. The lower panel has the number of keys attended to, the
    exponential of the entropy of the weights: 1 for a single key, s for s equal weights. A step
    whose weights are all 0 has neither.

    Args:
        weights: [t s], of t steps to s keys.
        queries: a label for each step, or a string, one letter a step; by default numbers.
        keys: the same for keys.
        links: pairs (step, key) that are outlined, such as an alignment made by hand.
        title: a title above the picture.

    Raises:
        ValueError: if weights is no matrix, a weight is negative or not finite, the number of
            labels differs from that of steps or keys, or a link is outside.
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
    above.set(xlim=(-0.6, max(t, 1) - 0.4), ylim=(-0.6, max(s, 1) - 0.4), ylabel="key")
    below.set(ylim=(0.0, None), xlabel="step", ylabel="keys\nlooked at")
    title = None if title is None else printable(str(title), keep="\n")
    fonts = families([*queries, *keys, title or ""])
    every = math.ceil(LINE / step)  # As many labels as there is room for.
    for axis, labels in ((below.xaxis, queries), (above.yaxis, keys)):
        if labels:
            ticks = range(0, len(labels), every)
            axis.set_ticks(ticks, clipped(labels, LONGEST)[::every], family=fonts, **LITERAL)
    below.tick_params(axis="x", rotation=90 if widest(queries) > 2 else 0)
    for ax in (above, below):
        ax.grid(color=tone(0.1), linewidth=0.6)
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
        in_style(ax)
    if title is not None:
        above.set_title(title, family=fonts, **LITERAL)
    return figure


def summary(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the quartiles of the key under each row's weights, and the number of keys.

    Quartiles are [3 t] and numbers [t]; NaN for a row whose weights are all 0.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = weights / weights.sum(1, keepdims=True)
        information = np.where(shares == 0.0, 0.0, shares * np.log(shares)).sum(1)
    sums = np.cumsum(shares, 1)
    quartiles = np.array([(sums < part - 1e-9).sum(1) for part in (0.25, 0.5, 0.75)], np.float64)
    return np.where(np.isnan(information), np.nan, quartiles), np.exp(-information)
