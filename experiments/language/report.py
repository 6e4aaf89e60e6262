"""Tables and pictures of a run: bits per character by steps and time, and where attention looks."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.both_themes import GREY, finish
from experiments.language import model
from experiments.language.config import MODELS, Config
from experiments.language.data import START, encode
from experiments.language.train import load_weights
from experiments.results import Table
from jattn import plots

PALETTE = ("#0072B2", "#56B4E9", "#E69F00", "#D55E00", "#009E73", "#CC79A7", "#7F5539")
COLOURS = dict(zip(MODELS, PALETTE, strict=True))
# Of the books to test on. What the last character attends to is drawn.
SENTENCE = "The Light shines in the darkness, and the dar"


def folder(out: Path, kind: str, seed: int) -> Path:
    """Returns the folder of one model's run."""
    return out / str(seed) / kind


def models_table(figures: Mapping[str, Any]) -> Table:
    """Returns the bits per character of each model on the test books, with seeds as `mean ± sd`."""
    equal = figures["config"]["steps"]
    columns = ["", "weights", "minutes", "ms a step", f"bits at step {equal:,}"]
    more = any(of["steps"] > equal for of in figures["models"].values())
    columns += ["steps in equal time", "bits"] if more else []
    rows = []
    for kind, of in figures["models"].items():
        row = [MODELS[kind], f"{of['weights']:,}", f"{np.mean(of['minutes']):.1f}"]
        row += [f"{1000 * of['seconds_per_step']:.0f}", spread(of["at_equal_steps"])]
        row += [f"{of['steps']:,}", spread(of["at_the_end"])] if more else []
        rows.append(row)
    seeds = len(figures["seeds"])
    notes = [f"± is the standard deviation of {seeds} seeds." if seeds > 1 else "One seed."]
    notes += ["Minutes are of one seed's training with its evaluations; steps were timed in turns."]
    title = f"Bits per character on the test books, {figures['characters']:,} characters"
    return Table(title, columns, rows, notes)


def spread(values: Any) -> str:
    """Returns a mean and, of several values, their standard deviation."""
    mean = f"{np.mean(values):.3f}"
    return f"{mean} ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else mean


def draw(out: Path, figures: Mapping[str, Any]) -> Iterator[str]:
    """Draws the pictures of a run; yields a line for each."""
    pictures: dict[str, Callable[[], Any]] = {
        "curves.png": lambda: curves(out, figures),
        "places.png": lambda: places(figures),
    }
    seed = figures["seeds"][0]
    for kind in figures["models"]:
        if kind in ("transformer", "gru-attention"):
            run = folder(out, kind, seed)
            pictures[f"attention-{kind}.png"] = lambda run=run: attention(*load_weights(run))
    for name, picture in pictures.items():
        try:
            figure = picture()
            finish(figure)
            plots.save(figure, out / name)
            yield f"wrote {out / name}"
        except ImportError as error:
            yield f"no {name}: {error}"


def curves(out: Path, figures: Mapping[str, Any]) -> Any:
    """Draws the bits per character on the books to tune on, by steps and by time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    by_steps, by_time = figure.subplots(1, 2, sharey=True)
    for kind, of in figures["models"].items():
        runs = [evaluations(folder(out, kind, seed)) for seed in figures["seeds"]]
        steps, bits = runs[0][0], np.mean([run[1] for run in runs], axis=0)
        style = {"color": COLOURS[kind], "marker": ".", "label": MODELS[kind]}
        shown = steps <= figures["config"]["steps"]
        by_steps.plot(steps[shown], bits[shown], **style)
        by_time.plot(steps * of["seconds_per_step"] / 60, bits, **style)
    for panel, name in ((by_steps, "steps"), (by_time, "minutes of training")):
        panel.axhline(figures["compressors"]["bz2"]["whole"], color=GREY, ls=":", lw=1)
        panel.set(xlabel=name)
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(True)
    by_steps.set(ylabel="bits per character, books to tune on")
    by_time.annotate(
        "bz2, whole text",
        (1, figures["compressors"]["bz2"]["whole"]),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        color=GREY,
        fontsize="small",
    )
    named = by_time.get_legend_handles_labels()
    figure.legend(*named, loc="outside upper center", ncols=len(named[1]), frameon=False)
    return figure


def minutes(run: Path) -> float:
    """Returns the minutes of a run's training and evaluations, over all its parts."""
    lines = (run / "log.jsonl").read_text("utf-8").splitlines()
    return json.loads(lines[-1])["seconds"] / 60 if lines else 0.0


def evaluations(run: Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns the steps of a run's evaluations, and the bits per character at each."""
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]
    rows = [row for row in rows if row["phase"] == "evaluate"]
    return np.array([row["step"] for row in rows]), np.array([row["bits"] for row in rows])


def places(figures: Mapping[str, Any]) -> Any:
    """Draws bits per character by the number of characters read before, in groups that double."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    panel = figure.subplots()
    for kind, of in figures["models"].items():
        firsts, bits = doubling(np.mean(of["by_place"], axis=0))
        panel.plot(firsts, bits, color=COLOURS[kind], marker=".", label=MODELS[kind])
    panel.set_xscale("log", base=2)
    panel.set_xticks(firsts, [f"{first}" for first in firsts])
    panel.set(xlabel="characters read before, at least", ylabel="bits per character, test books")
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(True)
    panel.legend(frameon=False)
    return figure


def doubling(by_place: np.ndarray) -> tuple[list[int], list[float]]:
    """Returns means over places 1, 2 to 3, 4 to 7 and so on, counted from 1, and each's first."""
    firsts = [2**power for power in range((len(by_place) + 1).bit_length() - 1)]
    means = [float(np.mean(by_place[first - 1 : 2 * first - 1])) for first in firsts]
    return firsts, means


def attention(params: model.Params, kind: str, config: Config, alphabet: str) -> Any:
    """Draws what each head attends to after SENTENCE, as far as it has characters of the model.

    Raises:
        ValueError: the sentence has characters that the model has not seen.
    """
    from matplotlib.figure import Figure

    tokens = jnp.asarray(encode(START + SENTENCE, alphabet)[-config.context :])
    look = jax.jit(lambda params: model.attended(params, tokens, kind, config)[1])
    weights = look(params)
    looks = np.concatenate([np.asarray(layer)[:, -1] for layer in weights])
    layers, heads = len(weights), len(weights[0])
    characters = ["⏎", *SENTENCE][-len(tokens) :]
    figure = Figure(figsize=(0.19 * len(tokens) + 1.2, 0.24 * len(looks) + 0.9))
    panel = figure.subplots()
    figure.subplots_adjust(left=0.11, right=0.98, top=0.88, bottom=0.12)
    panel.imshow(looks, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    panel.set_xticks(range(len(tokens)), characters, family="monospace")
    panel.tick_params(length=0, top=True, bottom=False, labeltop=True, labelbottom=False)
    names = [f"layer {layer + 1}" if layers > 1 else "" for layer in range(layers)]
    panel.set_yticks((np.arange(layers) + 0.5) * heads - 0.5, names)
    for edge in range(1, layers):
        panel.axhline(edge * heads - 0.5, color=GREY, lw=0.8)
    panel.set_xlabel("the last character's attention: a row is a head, white 0, blue 1")
    return figure
