"""Mechanisms down, tasks across: how often each is right, at each length, and its costs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.both_themes import GREY, finish
from experiments.choosing.report import key
from jattn.plots.curve import HUES
from jattn.plots.figure import new_figure

# At most 3 % of most longer sequences are right, so tokens separate the mechanisms.
PANELS = {
    "1": ("sequences", "sequences right, trained lengths"),
    "1.5": ("tokens", "tokens right, 1.5 times as long"),
    "2": ("tokens", "tokens right, twice as long"),
}


def picture(results: Mapping[str, Any], tasks: Sequence[str], names: Sequence[str]) -> Any:
    """Draws a panel for each length, and one for time and memory if they were measured."""
    cells, costs = results["cells"], results.get("costs") or {}
    figure = new_figure(1.6 + 2.9 * len(PANELS) + 2.6 * bool(costs), 1.9 + 0.27 * len(names))
    figure.set_layout_engine("constrained")
    panels = figure.subplots(1, len(PANELS) + bool(costs), squeeze=False)[0]
    for panel, (times, (kind, title)) in zip(panels, PANELS.items(), strict=False):
        shares = [[share(cells.get(key(task, m)), kind, times) for task in tasks] for m in names]
        heat(panel, np.array(shares, float), tasks, title)
    panels[0].set_yticks(range(len(names)), names)
    if costs:
        bars(panels[-1], [costs.get(name) for name in names])
    finish(figure)
    return figure


def share(cell: Mapping[str, Any] | None, kind: str, times: str) -> float:
    return 100 * float(np.mean(cell[kind][times])) if cell else np.nan


def heat(panel: Any, shares: np.ndarray, tasks: Sequence[str], title: str) -> None:
    """Draws percentages in cells, darker for higher ones."""
    panel.imshow(shares, "Blues", vmin=0, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(shares):
        if np.isfinite(value):
            colour = "white" if value > 55 else "black"
            panel.text(column, row, f"{value:.0f}", ha="center", va="center", color=colour, size=8)
    panel.set_xticks(range(len(tasks)), tasks, rotation=90)
    panel.set_yticks([])
    panel.set_title(f"{title}, %", size=9)
    panel.tick_params(length=0)


def bars(panel: Any, costs: Sequence[Mapping[str, Any] | None]) -> None:
    """Draws time and memory of a step at the greatest length, relative to the greatest of each."""
    length = list(next(filter(None, costs))["bytes"])[-1]
    none = (np.nan, np.nan)
    pairs = [
        (cost["milliseconds"][length]["median"], cost["bytes"][length] / 2**20) if cost else none
        for cost in costs
    ]
    for index, (unit, hue) in enumerate(zip(("ms", "MiB"), HUES, strict=False)):
        values = np.array([pair[index] for pair in pairs])
        places = np.arange(len(values)) + 0.4 * index - 0.2
        panel.barh(places, values / np.nanmax(values), 0.36, color=hue, label=unit)
        for place, value, part in zip(places, values, values / np.nanmax(values), strict=True):
            if np.isfinite(value):  # Beside the bar: a short one has no room for its number.
                panel.text(part, place, f" {value:.1f}", va="center", color=GREY, size=6)
    panel.set(xlim=(0, 1.15), ylim=(len(costs) - 0.5, -0.5), xticks=[], yticks=[])
    panel.set_title(f"a training step, {length} tokens", size=9)
    panel.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=2, frameon=False, fontsize=8
    )
