"""Time and memory against length, a panel a curve."""

from pathlib import Path
from typing import Any

from experiments.benchmark import summary
from experiments.benchmark.results import Record
from jattn.plots import save
from jattn.plots.curve import HUES
from jattn.plots.figure import new_figure

GREY = "#808080"  # Seen on white and on black.
PICTURES = {
    "benchmark-time.png": ("median", 1.0, "seconds, forward + backward"),
    "benchmark-memory.png": ("memory", 2.0**30, "GiB beside the inputs"),
}


def draw(record: Record, folder: Path) -> None:
    """Writes both pictures; their background is transparent, for light pages and dark ones."""
    for name, (quantity, unit, label) in PICTURES.items():
        save(picture(record, quantity, unit, label), folder / name)


def picture(record: Record, quantity: str, unit: float, label: str) -> Any:
    families = summary.curves(record)
    figure = new_figure(3.4 * len(families), 3.2)
    figure.patch.set_alpha(0.0)
    figure.set_layout_engine("constrained")
    panels = figure.subplots(1, len(families), sharex=True, sharey=True, squeeze=False)[0]
    peers = summary.peers_of(
        [line for family in families for line in summary.curve(record, family)]
    )
    for panel, family in zip(panels, families, strict=True):
        lines = summary.curve(record, family)
        for peer, hue in zip(peers, HUES, strict=False):
            points = [
                (line.row["length"], line.cells[peer][quantity] / unit)
                for line in lines
                if quantity in line.cells.get(peer, {})
            ]
            if points:
                panel.plot(
                    *zip(*points, strict=True),
                    "o-",
                    color=hue,
                    markersize=4,
                    label=summary.title(peer),
                )
        finish(panel, family.removeprefix("scaling-"), [line.row["length"] for line in lines])
    panels[0].set_ylabel(label, color=GREY)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(peers),
        frameon=False, labelcolor=GREY,
    )  # fmt: skip
    return figure


def finish(panel: Any, title: str, lengths: list[int]) -> None:
    from matplotlib.ticker import NullFormatter, NullLocator

    panel.set_facecolor("none")
    panel.set_title(title, color=GREY)
    panel.set(xscale="log", yscale="log")
    panel.set_xlabel("t", color=GREY)
    panel.set_xticks(lengths, [short(length) for length in lengths])
    panel.xaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.tick_params(colors=GREY, which="both")
    panel.grid(color=GREY, alpha=0.3, linewidth=0.6)
    for name, spine in panel.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color(GREY)


def short(length: int) -> str:
    return f"{length // 1024}k" if length % 1024 == 0 else str(length)
