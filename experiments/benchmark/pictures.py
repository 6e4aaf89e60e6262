"""Time and memory against length, a panel for each curve."""

from pathlib import Path
from typing import Any

from experiments.benchmark import summary
from experiments.benchmark.results import Record
from experiments.both_themes import finish
from jattn.plots import save
from jattn.plots.curve import HUES
from jattn.plots.figure import new_figure

PICTURES = {
    "benchmark-time.png": ("median", 1.0, "seconds, forward + backward"),
    "benchmark-memory.png": ("memory", 2.0**30, "GiB without the inputs"),
}


def draw(record: Record, folder: Path) -> None:
    """Writes both pictures."""
    for name, (quantity, unit, label) in PICTURES.items():
        save(picture(record, quantity, unit, label), folder / name)


def picture(record: Record, quantity: str, unit: float, label: str) -> Any:
    """Draws a quantity of all peers against length, a panel for each family."""
    families = summary.curves(record)
    figure = new_figure(3.4 * len(families), 3.2)
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
        logarithmic(panel, family.removeprefix("scaling-"), [line.row["length"] for line in lines])
    panels[0].set_ylabel(label)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(peers),
        frameon=False,
    )  # fmt: skip
    finish(figure)
    return figure


def logarithmic(panel: Any, title: str, lengths: list[int]) -> None:
    from matplotlib.ticker import NullFormatter, NullLocator

    """Gives a panel its title, logarithmic axes and a tick at each length."""
    panel.set_title(title)
    panel.set(xscale="log", yscale="log", xlabel="t")
    panel.set_xticks(lengths, [short(length) for length in lengths])
    panel.xaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.grid(linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)


def short(length: int) -> str:
    return f"{length // 1024}k" if length % 1024 == 0 else str(length)
