"""Pictures of a run: attention over pixels, deletion curves and learning curves."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.both_themes import GREY, finish
from experiments.handwritten_digits import Halves
from experiments.vision.config import Config
from experiments.vision.deletion import ORDERS
from experiments.vision.model import FORMS
from experiments.vision.predictions import Predictor
from experiments.vision.report import NAMES, of, trained
from experiments.vision.train import Job, load
from jattn import plots
from jattn.plots.curve import HUES, STYLES
from jattn.plots.figure import new_figure
from jattn.plots.over_image import VEIL

RIGHT, WRONG, SIDE = 5, 5, 1.05  # Images of each kind, and inches of one.
LABELS = {
    "most": "most attended first",
    "least": "least attended first",
    "random": "random",
    "ink": "most ink first",
}


def draw(
    cells: Sequence[Mapping[str, Any]], images: Mapping[str, Halves], config: Config, out: Path
) -> Iterator[str]:
    """Draws all pictures of the first seed's models, and curves; yields a line for each."""
    pictures: dict[str, Callable[[], Any]] = {}
    for data, halves in images.items():
        attending = [
            model for model in trained(cells, data) if of(cells, data, model)[0]["removal"]
        ]
        if attending:
            predicted = {
                model: Predictor(data, model, config)(
                    load(Job(data, model, config.seed), out, config), halves.test.pixels
                )
                for model in attending
            }
            pictures[f"attention-{data}.png"] = lambda p=predicted, d=data: maps(images[d], p, d)
            if "glimpses" in predicted:
                pictures[f"glimpses-{data}.png"] = lambda p=predicted, d=data: looks(
                    images[d], p["glimpses"], d
                )
    if any(cell["removal"] for cell in cells):
        pictures["deletion.png"] = lambda: deletion_curves(cells)
    logs = {(cell["data"], cell["model"]): evaluations(cell, out) for cell in cells}
    if any(logs.values()):
        pictures["learning.png"] = lambda: learning_curves(logs)
    for name, picture in pictures.items():
        try:
            figure = picture()
            finish(figure)
            plots.save(figure, out / name)
            yield f"wrote {out / name}"
        except ImportError as error:
            yield f"no {name}: {error}"


def maps(images: Halves, predicted: Mapping[str, Any], data: str) -> Any:
    """Draws images that all models get right and images that most get wrong, with their weights."""
    pixels, digits = images.test
    guesses = {model: logits.argmax(1) for model, (logits, _) in predicted.items()}
    mistakes = np.sum([guess != digits for guess in guesses.values()], axis=0)
    order = np.argsort(-mistakes, kind="stable")
    shown = [
        *np.flatnonzero(mistakes == 0)[:RIGHT],
        *order[: min(WRONG, int((mistakes > 0).sum()))],
    ]
    figure = new_figure(SIDE * len(shown) + 1.5, (SIDE + 0.15) * (len(predicted) + 1))
    figure.set_layout_engine("constrained")
    grid = figure.subplots(len(predicted) + 1, len(shown), squeeze=False)
    for column, image in enumerate(shown):
        panel(grid[0, column], pixels[image], None, 0, str(digits[image]))
        for row, (model, (_, weights)) in enumerate(predicted.items(), start=1):
            guess, side = guesses[model][image], FORMS[data].grid
            title = str(guess) if guess == digits[image] else f"{guess}, wrong"
            panel(grid[row, column], pixels[image], weights[image].mean(0), side, title)
    for ax, name in zip(grid[:, 0], ["image", *predicted], strict=True):
        label = name.replace(", ", ",\n")
        ax.set_ylabel(label, rotation=0, ha="right", va="center", size="small")
    return figure


def looks(images: Halves, predicted: tuple[np.ndarray, Any], data: str) -> Any:
    """Draws the weights of each glimpse, for two images that are read right and two that are not.

    An image is drawn again for each glimpse.
    """
    pixels, digits = images.test
    logits, weights = predicted
    guesses = logits.argmax(1)
    shown = [*np.flatnonzero(guesses == digits)[:2], *np.flatnonzero(guesses != digits)[:2]]
    count = weights.shape[1]
    figure = new_figure(SIDE * (count + 1), (SIDE + 0.15) * len(shown))
    figure.set_layout_engine("constrained")
    for row, image in zip(
        figure.subplots(len(shown), count + 1, squeeze=False), shown, strict=True
    ):
        wrong = "" if guesses[image] == digits[image] else f", read as {guesses[image]}"
        panel(row[0], pixels[image], None, 0, f"{digits[image]}{wrong}")
        for look in range(count):
            side = FORMS[data].grid
            panel(row[look + 1], pixels[image], weights[image, look], side, f"glimpse {look + 1}")
    return figure


def panel(ax: Any, image: np.ndarray, weights: np.ndarray | None, grid: int, title: str) -> None:
    """Draws an image, and over it the weights of its patches, from the least to the greatest."""
    from matplotlib.colors import to_rgb

    ax.imshow(image, "gray", vmin=0, vmax=1)
    if weights is not None:
        span = float(np.ptp(weights))
        veil = np.empty((grid, grid, 4))
        veil[..., :3] = to_rgb(VEIL)
        veil[..., 3] = 0.75 * (weights - weights.min()).reshape(grid, grid) / (span or 1.0)
        edge = len(image) - 0.5
        ax.imshow(veil, extent=(-0.5, edge, edge, -0.5), interpolation="nearest")
    ax.set_title(title, size="small", pad=3)
    ax.set(xticks=[], yticks=[])


def deletion_curves(cells: Sequence[Mapping[str, Any]]) -> Any:
    """Draws the accuracy against the share of patches that are removed, means over the seeds."""
    rows = [
        (data, kind)
        for data in NAMES
        for kind in ("area", "inked")
        if any(cell["data"] == data and cell["removal"] for cell in cells)
    ]
    columns = list(dict.fromkeys(cell["model"] for cell in cells if cell["removal"]))
    figure = new_figure(2.5 * len(columns) + 0.5, 2.1 * len(rows) + 0.5)
    figure.set_layout_engine("constrained")
    grid = figure.subplots(len(rows), len(columns), squeeze=False, sharex=True, sharey=True)
    for (data, kind), axes in zip(rows, grid, strict=True):
        for model, ax in zip(columns, axes, strict=True):
            measured = [cell["removal"] for cell in of(cells, data, model)]
            for order, hue in zip(ORDERS, HUES, strict=False):
                if measured:
                    rights = [[m["whole"], *m[kind][order]] for m in measured]
                    shares = [0.0, *measured[0]["shares"]]
                    line = "--" if order == "random" else "-"
                    values = 100 * np.mean(rights, axis=0)
                    ax.plot(100 * np.array(shares), values, line, color=hue, label=LABELS[order])
            ax.grid(linewidth=0.5)
            if ax in grid[0]:
                ax.set_title(model, size="small")
        patches = {"area": "all patches", "inked": "patches with ink"}[kind]
        axes[0].set_ylabel(f"{data}, {patches}\nright answers [%]", size="small")
    for ax in grid[-1]:
        ax.set_xlabel("removed [%]", size="small")
    lines = grid[0, 0].get_legend_handles_labels()
    figure.legend(*lines, loc="outside lower center", ncols=len(ORDERS), frameon=False)
    return figure


def evaluations(cell: Mapping[str, Any], out: Path) -> list[tuple[int, float]]:
    """Returns the steps and the errors of a job's evaluations."""
    job = Job(cell["data"], cell["model"], cell["seed"])
    lines = (out / job.folder / "log.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [(row["step"], row["error"]) for row in rows if row["phase"] == "evaluate"]


def learning_curves(logs: Mapping[tuple[str, str], Sequence[tuple[int, float]]]) -> Any:
    """Draws the errors of each model on some test images, during the training of its last seed."""
    data = list(dict.fromkeys(name for name, _ in logs))
    figure = new_figure(4.2 * len(data), 4.6)
    figure.set_layout_engine("constrained")
    axes = figure.subplots(1, len(data), squeeze=False)[0]
    models = list(dict.fromkeys(model for _, model in logs))
    for name, ax in zip(data, axes, strict=True):
        for model, (marker, dash, hue) in zip(models, STYLES, strict=False):
            steps, errors = np.array(logs.get((name, model), [])).reshape(-1, 2).T
            line = {"marker": marker, "linestyle": dash, "color": hue, "markersize": 3}
            ax.plot(steps, 100 * errors, label=model, **line)
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter("{x:g}")
        ax.set_title(NAMES[name], size="medium", color=GREY)
        ax.set_xlabel("step")
        ax.grid(linewidth=0.5, which="both")
    axes[0].set_ylabel("wrong answers [%]")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False
    )
    return figure
