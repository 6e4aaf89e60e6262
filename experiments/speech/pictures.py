"""Pictures of what attention reads in sound."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.both_themes import GREY, finish
from experiments.speech.alignment import STATE
from experiments.speech.pretrained import Pretrained
from experiments.speech.spectrogram import HOP, RATE
from experiments.speech.transcription import Window
from jattn import plots

COLOUR = "#2171b5"


def draw(path: Path, make: Callable[[], Any]) -> None:
    """Writes a picture and says so; without matplotlib it says that there is none."""
    try:
        figure = make()
        finish(figure)
        plots.save(figure, path)
        print(f"wrote {path}")
    except ImportError as error:
        print(f"no {path.name}: {error}")


def new_figure(width: float, height: float) -> Any:
    """Returns an empty figure of so many inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def heard(model: Pretrained, window: Window) -> Any:
    """Draws the spectrogram with the words' limits, and below it the alignment heads' attention."""
    names = [model.tokenizer.text([token]) for token in window.tokens] + ["end"]
    figure = new_figure(max(6.0, 1.3 * window.seconds), 2.6 + 0.16 * len(names))
    heights = [2.0, max(1.5, 0.16 * len(names))]
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=heights)
    frames = round(window.seconds * RATE / HOP)
    above.imshow(
        window.spectrogram[:, :frames],
        origin="lower",
        aspect="auto",
        cmap="magma",
        extent=(0, window.seconds, 0, len(window.spectrogram)),
    )
    above.set_ylabel("mel band")
    weights = window.aligned.weights[:, : max(1, frames // 2)]
    below.imshow(
        weights / weights.max(1, keepdims=True),
        aspect="auto",
        cmap="Blues",
        extent=(0, weights.shape[1] * STATE, len(names) - 0.5, -0.5),
        interpolation="nearest",
    )
    below.set_yticks(range(len(names)), names, fontsize=7, parse_math=False)
    below.set_xlabel("seconds")
    for word in window.aligned.words:
        for panel, colour in ((above, "white"), (below, GREY)):
            panel.axvline(word.start, color=colour, linewidth=0.6)
        middle = (word.start + word.end) / 2
        label = above.text(
            middle, 1.02, word.text, transform=above.get_xaxis_transform(), parse_math=False
        )
        label.set(rotation=60, fontsize=8, ha="left", va="bottom", color=GREY)
    above.set_xlim(0, window.seconds)
    return figure


def frames(series: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> Any:
    """Draws series of features, and below each the weights of its frames."""
    figure = new_figure(3.4 * len(series), 3.2)
    panels = figure.subplots(2, len(series), squeeze=False, height_ratios=[3, 1])
    for (name, rows, weights), (above, below) in zip(series, panels.T, strict=True):
        above.plot(rows, linewidth=0.8)
        above.set_title(name, fontsize=9)
        below.bar(range(len(weights)), weights, color=COLOUR, width=1.0)
        above.set_xlim(-0.5, len(weights) - 0.5)
        below.set_xlim(-0.5, len(weights) - 0.5)
        below.set_xlabel("frame")
    panels[0, 0].set_ylabel("features")
    panels[1, 0].set_ylabel("weight")
    return figure


def confusion(counts: np.ndarray, names: Sequence[str], title: str) -> Any:
    """Draws how many recordings of each row's language were taken for each column's."""
    figure = new_figure(3.6, 3.4)
    panel = figure.subplots()
    panel.imshow(counts / counts.sum(1, keepdims=True), cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        share = count / counts[row].sum()
        colour = "white" if share > 0.5 else "#404040"
        panel.text(column, row, str(count), ha="center", va="center", color=colour)
    panel.set_xticks(range(len(names)), names)
    panel.set_yticks(range(len(names)), names)
    panel.set_xlabel("taken for")
    panel.set_ylabel("spoken")
    panel.set_title(title, fontsize=9)
    return figure
