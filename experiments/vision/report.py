"""The tables of a run: accuracies, and what removed patches cost."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.choosing.report import estimate
from experiments.results import Table
from experiments.vision.baselines import SCIKIT_LEARN
from experiments.vision.deletion import QUARTER, costs
from experiments.vision.model import MODELS

NAMES = {"digits": "digits, 8 x 8", "mnist": "MNIST-5k, 28 x 28"}
NEITHER = "-"


def tables(cells: Sequence[Mapping[str, Any]], neighbours: Mapping[str, float]) -> list[Table]:
    """Returns the tables of the finished jobs, and of the nearest neighbours by set of images."""
    data = [name for name in NAMES if any(cell["data"] == name for cell in cells)]
    return [accuracy_table(cells, neighbours, data)] + [
        removal_table(cells, name, kind)
        for name in data
        for kind in ("area", "inked")
        if any(cell["data"] == name and cell["removal"] for cell in cells)
    ]


def of(cells: Sequence[Mapping[str, Any]], data: str, model: str) -> list[Mapping[str, Any]]:
    """Returns the cells of all seeds of a model on a set of images."""
    return [cell for cell in cells if (cell["data"], cell["model"]) == (data, model)]


def trained(cells: Sequence[Mapping[str, Any]], data: str) -> list[str]:
    """Returns the models of a set of images, in the order of the tables."""
    return [model for model in MODELS if of(cells, data, model)]


def accuracy_table(
    cells: Sequence[Mapping[str, Any]], neighbours: Mapping[str, float], data: Sequence[str]
) -> Table:
    rows = []
    for model in MODELS:
        found = [of(cells, name, model) for name in data]
        if any(found):
            counts = [f"{seeds[0]['parameters']:,}" if seeds else NEITHER for seeds in found]
            shares = [estimate([c["accuracy"] for c in s]) if s else NEITHER for s in found]
            rows.append([model, *counts, *shares])
    percent = lambda share: f"{100 * share:.1f}"
    blank = [""] * len(data)
    rows.append(["nearest neighbour", *blank, *(percent(neighbours[name]) for name in data)])
    for classifier, shares in SCIKIT_LEARN.items():
        rows.append([f"{classifier}*", *blank, *(percent(shares[name]) for name in data)])
    columns = ["", *(f"parameters, {name}" for name in data), *(NAMES[name] for name in data)]
    tested = " and ".join(f"{of_data(cells, name)['tested']:,} of {name}" for name in data)
    seeds = len({cell["seed"] for cell in cells})
    spread = f"Means of {seeds} seeds; ± is the standard error of the mean. " if seeds > 1 else ""
    notes = [f"{spread}Test images: {tested}. * scikit-learn 1.9.0, not part of the run."]
    return Table("Right answers, per cent", columns, rows, notes)


def of_data(cells: Sequence[Mapping[str, Any]], data: str) -> Mapping[str, Any]:
    return next(cell for cell in cells if cell["data"] == data)


def removal_table(cells: Sequence[Mapping[str, Any]], data: str, kind: str) -> Table:
    """Returns the points of accuracy that removing a quarter of the patches costs."""
    rows, images = [], 0
    for model in trained(cells, data):
        measured = [cell["removal"] for cell in of(cells, data, model) if cell["removal"]]
        if not measured:
            continue
        images = measured[0]["images"]
        lost = [costs(removal, kind) for removal in measured]
        mean = {order: float(np.mean([cost[order] for cost in lost])) for order in lost[0]}
        rows.append(
            [
                model,
                estimate([removal["whole"] for removal in measured]),
                *(estimate([cost[order] for cost in lost]) for order in mean),
                f"{mean['most'] / mean['least']:.1f}" if mean["least"] > 0 else NEITHER,
                estimate([removal["weight_on_ink"] for removal in measured]),
            ]
        )
    inked = of_data([cell for cell in cells if cell["removal"]], data)["removal"]["inked_patches"]
    patches = {"area": "all patches", "inked": "the patches with ink"}[kind]
    columns = [
        "",
        "right with all patches",
        "most attended",
        "least attended",
        "random",
        "most ink",
        "most / least",
        "weight on ink",
    ]
    title = (
        f"{NAMES[data]}: points of accuracy lost without {QUARTER:.0%} of {patches},"
        f" {images:,} test images"
    )
    note = (
        f"Weight on ink: the share of the weights on patches with ink, which are {inked:.0%} of"
        " all patches. Both it and the accuracy are in per cent. Most / least: -, if removing the"
        " least attended patches costs nothing."
    )
    return Table(title, columns, rows, [note])
