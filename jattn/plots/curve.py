"""Learning curves: loss and errors against the step."""

import itertools
import json
import math
import numbers
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jattn.plots.figure import LITERAL, families, in_style, new_figure, tone
from jattn.plots.labelled import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Of Okabe and Ito's palette, told apart without colour vision too.
HUES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# The loss has the first two hues. Each marker and dash goes through all hues before the next.
STYLES = tuple(itertools.product("os^D", ("-", "--", ":"), HUES[2:] + HUES[:2]))
OWN_COLUMNS = ("step", "phase", "seconds", "loss")
IN_LEGEND = 8  # Entries of one column of a legend.


def learning_curve(
    rows: str | os.PathLike | Iterable[Mapping[str, Any]],
    *,
    errors: Sequence[str] | None = None,
    title: str | None = None,
) -> "Figure":
    """Draws a log of `jattn.training.fit`: the loss above, the errors of each evaluation below.

    The loss of single batches is faint, with its running mean. Its axis is logarithmic if all
    losses are above 0, and linear otherwise. Values that are not finite are left out.

    Args:
        rows: the log's path, or its rows.
        errors: metrics of the evaluations to draw, as parts of 1; by default all numbers in them
            except the loss.
        title: a title above the picture.

    Raises:
        ValueError: if the log has no rows, a row is not one of `fit`, or no row has one of
            `errors` as a number.
        OSError: if the log cannot be read.
        ImportError: if matplotlib is not installed.
    """
    rows = _checked_rows(rows)
    evaluated = [row for row in rows if row["phase"] == "evaluate"]
    trained = [row for row in rows if row["phase"] == "train"]
    metrics = _metrics(evaluated) if errors is None else errors
    if isinstance(metrics, str):
        raise ValueError(f"learning_curve: errors is {metrics!r}, expected a sequence of names")
    series = {name: _series(evaluated, name) for name in metrics}
    for name, (steps, _) in series.items():
        if not len(steps):
            raise ValueError(f"learning_curve: no evaluation has {name}")
    figure = new_figure(7.0, 5.6 if series else 3.6)
    figure.set_layout_engine("constrained")
    axes = figure.subplots(2 if series else 1, sharex=True, squeeze=False)[:, 0]
    _draw_loss(axes[0], trained, evaluated)
    if series:
        _draw_errors(axes[1], series)
    axes[-1].set_xlabel("step")
    for ax in axes:
        ax.grid(color=tone(0.1), linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)
        in_style(ax)
    if title is not None:
        title = printable(str(title), keep="\n")
        figure.suptitle(title, family=families([title]), **LITERAL)
    return figure


def _checked_rows(rows: Any) -> list[Mapping[str, Any]]:
    """Returns the rows of a log, each with a step and a phase."""
    named = []
    if isinstance(rows, str | os.PathLike):
        path = Path(rows)
        for number, line in enumerate(path.read_bytes().splitlines(), start=1):
            try:
                named.append((f"line {number} of {path}", json.loads(line)))
            except ValueError as error:
                raise ValueError(f"learning_curve: line {number} of {path} is no JSON") from error
    else:
        named = [(f"rows[{index}]", row) for index, row in enumerate(rows)]
    if not named:
        raise ValueError("learning_curve: rows is empty, expected the rows of a log")
    for place, row in named:
        if not isinstance(row, Mapping):
            kind = type(row).__name__
            raise ValueError(f"learning_curve: {place} is a {kind}, expected a row of a log")
        if not _is_finite(row.get("step")):
            raise ValueError(f"learning_curve: {place} has no step, expected a row of a log")
        if not isinstance(row.get("phase"), str):
            raise ValueError(
                f"learning_curve: {place} has no phase, expected a row of a log, "
                "with phase train or evaluate"
            )
    return [row for _, row in named]


def _metrics(evaluated: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the names of numbers in the evaluations, in the order in which they occur."""
    names = dict.fromkeys(
        name for row in evaluated for name, value in row.items() if _is_finite(value)
    )
    return [name for name in names if name not in OWN_COLUMNS]


def _draw_loss(ax: Any, trained: Sequence[Any], evaluated: Sequence[Any]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    steps, batches = _series(trained, "loss")
    if len(steps):
        width = max(1, len(steps) // 50)
        mean = np.convolve(batches, np.ones(width) / width, "valid")
        ax.plot(steps, batches, color=HUES[0], alpha=0.25, linewidth=0.8)
        ax.plot(steps[width - 1 :], mean, color=HUES[0], label="training")
    steps, evaluations = _series(evaluated, "loss")
    if len(steps):
        ax.plot(steps, evaluations, "o-", color=HUES[1], markersize=3, label="evaluation")
    ax.set_ylabel("loss")
    if len(ax.get_lines()):
        ax.legend(frameon=False)
    if min([*batches, *evaluations], default=1.0) > 0.0:  # No logarithm of others is a number.
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter(NullFormatter())


def _draw_errors(ax: Any, series: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    styles = itertools.cycle(STYLES)
    for (name, (steps, values)), (marker, dash, hue) in zip(series.items(), styles, strict=False):
        metric = printable(str(name)).replace("_", " ").strip()
        label = f"{metric}: {100 * values[-1]:.1f} % at the end"
        line = {"linestyle": dash, "marker": marker, "color": hue, "markersize": 3}
        ax.plot(steps, 100 * values, label=label, **line)
    # After all lines are drawn, since a limit that is set no longer grows.
    lowest = min(values.min() for _, values in series.values())
    ax.set(ylabel="error [%]", ylim=(0 if lowest >= 0.0 else None, None))
    columns = math.ceil(len(series) / IN_LEGEND)
    # Many entries would cover the lines: they go below, where the layout makes room.
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.25), "ncols": 2}
    legend = ax.legend(frameon=False, **(place if columns > 1 else {}))
    for text in legend.get_texts():
        text.set(family=families([text.get_text()]), **LITERAL)


def _series(rows: Sequence[Any], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns steps and values of the rows that have a finite number for `name`."""
    pairs = [(row["step"], row[name]) for row in rows if _is_finite(row.get(name))]
    steps, values = np.array(pairs, np.float64).reshape(-1, 2).T
    return steps, values


def _is_finite(value: Any) -> bool:
    """Returns whether `value` is a finite number; the log has null for NaN and infinity."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # A whole number that no float holds.
        return False
