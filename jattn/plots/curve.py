"""How training went: loss and error against the step."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jattn.plots.figure import in_style, new_figure, tone

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Of Okabe and Ito's palette, told apart without colour vision too.
HUES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
OWN_COLUMNS = ("step", "phase", "seconds", "loss")


def learning_curve(
    rows: str | os.PathLike | Iterable[Mapping[str, Any]],
    *,
    errors: Sequence[str] | None = None,
    title: str | None = None,
) -> "Figure":
    """Draws a log of `jattn.training.fit`: the loss above, the errors of each evaluation below.

    The loss of single batches is shown faint, with its running mean.

    Args:
        rows: the log's path, or its rows.
        errors: metrics of the evaluations to draw, as shares of one; all but the loss by default.

    Raises:
        ValueError: if the log has no rows, a line that is no row, or no row with one of `errors`.
        OSError: if the log cannot be read.
        ImportError: if matplotlib is not installed.
    """
    if isinstance(rows, str | os.PathLike):
        rows = _read(Path(rows))
    rows = list(rows)
    if not rows:
        raise ValueError("learning_curve: rows is empty, expected the rows of a log")
    evaluated = [row for row in rows if row["phase"] == "evaluate"]
    trained = [row for row in rows if row["phase"] == "train"]
    if errors is None:
        names = dict.fromkeys(name for row in evaluated for name in row)
        errors = [name for name in names if name not in OWN_COLUMNS]
    figure = new_figure(7.0, 5.6 if errors else 3.6)
    figure.set_layout_engine("constrained")
    axes = figure.subplots(2 if errors else 1, sharex=True, squeeze=False)[:, 0]
    _draw_loss(axes[0], trained, evaluated)
    for hue, name in zip(HUES[2:] + HUES[:2], errors, strict=False):
        steps, values = _series(evaluated, name)
        if not len(steps):
            raise ValueError(f"learning_curve: no evaluation has {name}")
        label = f"{name.replace('_', ' ')}: {100 * values[-1]:.1f} % at the end"
        axes[1].plot(steps, 100 * values, "o-", color=hue, markersize=3, label=label)
    if errors:  # Once all are drawn: a limit that is set no longer grows.
        axes[1].set(ylabel="error [%]", ylim=(0, None))
    axes[-1].set_xlabel("step")
    for ax in axes:
        ax.legend(frameon=False)
        ax.grid(color=tone(0.1), linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)
        in_style(ax)
    if title is not None:
        figure.suptitle(title)
    return figure


def _read(path: Path) -> list[Mapping[str, Any]]:
    rows = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise ValueError(f"learning_curve: line {number} of {path} is no JSON") from error
    return rows


def _draw_loss(ax: Any, trained: Sequence[Any], evaluated: Sequence[Any]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    steps, values = _series(trained, "loss")
    if len(steps):
        width = max(1, len(steps) // 50)
        mean = np.convolve(values, np.ones(width) / width, "valid")
        ax.plot(steps, values, color=HUES[0], alpha=0.25, linewidth=0.8)
        ax.plot(steps[width - 1 :], mean, color=HUES[0], label="training")
    steps, values = _series(evaluated, "loss")
    if len(steps):
        ax.plot(steps, values, "o-", color=HUES[1], markersize=3, label="evaluation")
    ax.set(ylabel="loss", yscale="log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())


def _series(rows: Sequence[Any], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of the rows that have a number for `name`; the log has null for NaN."""
    found = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
    steps, values = np.array(found, np.float64).reshape(-1, 2).T
    return steps, values
