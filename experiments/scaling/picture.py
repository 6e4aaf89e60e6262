"""The cost model beside the measured times, and the times that it predicts."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.both_themes import GREY, finish
from jattn.plots.curve import HUES
from jattn.plots.figure import new_figure

MARKERS = "os^Dv"


def picture(measured: Sequence[Mapping[str, Any]], predicted: Mapping[str, Any]) -> Any:
    """Draws modelled against measured seconds, and predicted seconds against devices.

    Args:
        measured: rows with `scheme`, `measured` and `modelled` seconds.
        predicted: `title`, `ideal` as pairs of devices and seconds, and `schemes`, such pairs by
            the name of a scheme.
    """
    figure = new_figure(10.0, 4.4)
    figure.set_layout_engine("constrained")
    left, right = figure.subplots(1, 2)
    names = list(dict.fromkeys(row["scheme"] for row in measured))
    ends = [row[kind] for row in measured for kind in ("measured", "modelled")]
    left.plot([min(ends), max(ends)], [min(ends), max(ends)], color=GREY, linewidth=1)
    hues = dict(zip([*predicted["schemes"], *names], HUES, strict=False))
    marks = dict(zip([*predicted["schemes"], *names], MARKERS, strict=False))
    for name in names:
        rows = [row for row in measured if row["scheme"] == name]
        seconds = ([row[kind] for row in rows] for kind in ("measured", "modelled"))
        left.plot(*seconds, marks[name], color=hues[name], label=name, markersize=5)
    left.set(xlabel="measured seconds", ylabel="seconds of the model")
    left.set_title("Attention, forward and backward: fit", size=10)
    ideal = list(zip(*predicted["ideal"], strict=True))
    right.plot(*ideal, color=GREY, linewidth=1, linestyle="--", label="ideal")
    for name, pairs in predicted["schemes"].items():
        right.plot(
            *zip(*pairs, strict=True),
            marks[name],
            linestyle="-",
            color=hues[name],
            label=name,
            markersize=5,
        )
    right.set(xlabel="devices", ylabel="predicted seconds")
    right.set_title(predicted["title"], size=10)
    for panel in (left, right):
        panel.set(xscale="log", yscale="log")
        panel.grid(True, which="major", linewidth=0.6)
        panel.legend(frameon=False, fontsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    right.set_xscale("log", base=2)
    finish(figure)
    return figure
