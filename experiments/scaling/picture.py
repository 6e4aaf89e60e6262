"""The cost model beside the measured times, and the times and efficiencies that it predicts."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.ticker import LogLocator, NullFormatter

from experiments.both_themes import GREY, finish
from experiments.scaling.predictions import Prediction
from jattn.plots.curve import HUES
from jattn.plots.figure import new_figure

MARKERS = "os^Dv"
SIZES = (8, 5, 5, 5, 5)  # All gather and ring are nearly the same: both are to be seen.


def picture(
    measured: Sequence[Mapping[str, Any]],
    predicted: Sequence[Prediction],
    ideal: Sequence[tuple[int, float]],
    tokens: int,
) -> Any:
    """Draws modelled against measured seconds, and predictions against devices.

    Args:
        measured: rows with `scheme`, `measured` and `modelled` seconds.
        predicted: predictions of all schemes.
        ideal: numbers of devices, and the seconds without communication and imbalance.
        tokens: those of the predictions.
    """
    figure = new_figure(13.0, 4.2)
    figure.set_layout_engine("constrained")
    left, middle, right = figure.subplots(1, 3)
    schemes = dict.fromkeys(each.scheme for each in predicted)
    names = dict.fromkeys([*schemes, *(row["scheme"] for row in measured)])
    marks = zip(MARKERS, HUES, SIZES, strict=False)
    styles = {
        name: {"marker": marker, "color": hue, "markersize": size, "label": name}
        for name, (marker, hue, size) in zip(names, marks, strict=False)
    }
    ends = [row[kind] for row in measured for kind in ("measured", "modelled")]
    left.plot([min(ends), max(ends)], [min(ends), max(ends)], color=GREY, linewidth=1)
    for name in names:
        rows = [row for row in measured if row["scheme"] == name]
        seconds = ([row[kind] for row in rows] for kind in ("measured", "modelled"))
        left.plot(*seconds, linestyle="none", **styles[name])
    middle.plot(*zip(*ideal, strict=True), color=GREY, linewidth=1, linestyle="--", label="ideal")
    for name in schemes:
        of_scheme = [each for each in predicted if each.scheme == name]
        devices = [each.devices for each in of_scheme]
        middle.plot(devices, [each.seconds for each in of_scheme], **styles[name])
        right.plot(devices, [100 * each.efficiency for each in of_scheme], **styles[name])
    left.set(xlabel="measured seconds", ylabel="seconds of the model")
    middle.set(xlabel="devices", ylabel="seconds")
    right.set(xlabel="devices", ylabel="efficiency, %", ylim=(0, 103))
    left.set_title("fit: attention, forward and backward", size=10)
    middle.set_title(f"prediction for {tokens:,} tokens", size=10)
    right.set_title(f"prediction for {tokens:,} tokens", size=10)
    for panel in (left, middle):
        panel.set(xscale="log", yscale="log")
        panel.legend(frameon=False, fontsize=8)
    for panel in (middle, right):
        panel.set_xscale("log", base=2)
    for axis in (left.xaxis, left.yaxis):  # Few labels and in full: theirs would overlap.
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
    for panel in (left, middle, right):
        panel.grid(True, which="major", linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
    finish(figure)
    return figure
