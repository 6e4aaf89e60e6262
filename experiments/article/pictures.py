"""Pictures for the pages on the article, one for each section.

`python -m experiments.article.pictures` draws them. Each is an SVG with a transparent background,
in colours that read on white and on black.
"""

import argparse
import contextlib
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

import jattn
from experiments.article.data import KEYS, QUERIES, VALUES
from experiments.article.example import work
from experiments.article.train import Config, train_all
from jattn.atomic import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREY, BLUE, RED, GREEN = "#7d8590", "#2f81f7", "#e5534b", "#3fa55a"
FOLDER = Path("docs/pictures")


@contextlib.contextmanager
def colours() -> Iterator[None]:
    """Draws text, axes and edges in a grey that reads on white and on black."""
    import matplotlib

    names = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    settings: dict[Any, Any] = dict.fromkeys(names, GREY) | {
        "font.size": 9,
        "svg.hashsalt": "jattn",
    }
    with matplotlib.rc_context(settings):
        yield


def figure_of(width: float, height: float, columns: int = 1) -> tuple["Figure", list["Axes"]]:
    """Returns an empty figure of that many inches and its axes, left to right."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(np.ravel(figure.subplots(1, columns, squeeze=False)))


def cells(ax: "Axes", values: np.ndarray, title: str, *, highest: float = 1.0, digits: int = 2):
    """Draws a matrix with its numbers, from white for zero to dark blue for `highest`."""
    ax.imshow(values, cmap="Blues", vmin=0.0, vmax=highest)
    ax.set_xticks(np.arange(-0.5, values.shape[1]), minor=True)
    ax.set_yticks(np.arange(-0.5, values.shape[0]), minor=True)
    ax.grid(which="minor", color=GREY, linewidth=0.4)
    ax.tick_params(which="both", length=0)
    ax.set(xticks=[], yticks=[])
    ax.set_title(title)
    for (row, column), value in np.ndenumerate(values):
        shown = "" if np.isnan(value) else f"{value:.{digits}f}"
        colour = "white" if value / highest > 0.6 else "#1f2328"
        ax.text(column, row, shown, ha="center", va="center", fontsize=7, color=colour)


def box(ax: "Axes", x: float, y: float, text: str, colour: str = GREY, width: float = 0.9):
    """Draws a box with its text in the middle, in data coordinates."""
    from matplotlib.patches import FancyBboxPatch

    corner, style = (x - width / 2, y - 0.3), "round,pad=0.02,rounding_size=0.08"
    ax.add_patch(
        FancyBboxPatch(corner, width, 0.6, boxstyle=style, fill=False, edgecolor=colour, lw=1.2)
    )
    ax.text(x, y, text, ha="center", va="center", fontsize=8)


def arrow(ax: "Axes", start: tuple[float, float], end: tuple[float, float], colour: str = GREY):
    ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": colour, "lw": 1.2})


def blank(ax: "Axes", x: tuple[float, float], y: tuple[float, float]) -> None:
    ax.set(xlim=x, ylim=y)
    ax.axis("off")


def background() -> "Figure":
    """One query, its weight for each key, and the context."""
    figure, (ax,) = figure_of(6, 2.4)
    blank(ax, (-0.7, 4.8), (-0.5, 4.5))
    worked = work(QUERIES, KEYS, VALUES)
    box(ax, 0, 2, "query")
    box(ax, 4.2, 2, "context", width=1.1)
    for index, weight in enumerate(worked.weights[0]):
        y = 4 - index
        name = f"key {index + 1}, value {index + 1}: {weight:.2f}"
        box(ax, 2.1, y, name, BLUE, width=1.7)
        ax.plot([0.48, 1.22], [2, y], color=BLUE, linewidth=8 * weight)
        ax.plot([2.98, 3.62], [y, 2], color=BLUE, linewidth=8 * weight)
    return figure


def kinds() -> "Figure":
    """Draws the keys (columns) that each query (row) reads: global or local, self or cross."""
    figure, axes = figure_of(7, 2.2, 4)
    near = np.asarray(jattn.masks.window(1, 1).dense(6, 6), float)
    two = np.asarray([[0, 1, 1, 1, 0, 0], [0, 0, 0, 1, 1, 1]], float)
    grids = (np.ones((6, 6)), near, np.ones((2, 6)), two)
    titles = ("self, global", "self, local", "cross, global", "cross, local")
    for ax, title, seen in zip(axes, titles, grids, strict=True):
        cells(ax, 0.75 * seen, title, digits=0)
        for text in ax.texts:
            text.set_visible(False)
        ax.set(xlabel="keys", ylabel="queries" if ax is axes[0] or ax is axes[2] else "")
    return figure


def steps() -> "Figure":
    """The four steps and the shapes between them."""
    figure, (ax,) = figure_of(7.5, 1.5)
    blank(ax, (-0.8, 8.3), (-0.75, 0.75))
    names = ("encode", "score", "weight", "decode")
    shapes = (
        "queries [t k]\nkeys [s k], values [s v]",
        "scores [t s]",
        "weights [t s]",
        "context [t v]",
    )
    for index, (name, shape) in enumerate(zip(names, shapes, strict=True)):
        box(ax, 2.3 * index, 0.25, name, BLUE, width=1.3)
        ax.text(2.3 * index, -0.5, shape, ha="center", va="center", fontsize=8)
        if index:
            arrow(ax, (2.3 * index - 1.6, 0.25), (2.3 * index - 0.7, 0.25))
    return figure


def formula() -> "Figure":
    """One Z for all rows, one Z for each row, and the product with V."""
    figure, axes = figure_of(7.5, 2.3, 3)
    worked = work(QUERIES, KEYS, VALUES)
    cells(
        axes[0], worked.exponentials / worked.exponentials.sum(), "one Z for all: row sums differ"
    )
    cells(axes[1], worked.weights, "one Z a row: rows sum to 1")
    cells(axes[2], worked.output, "weights V: the output", highest=2.0)
    return figure


def example() -> "Figure":
    """The numbers of the worked example, from the products to the output."""
    figure, axes = figure_of(8, 2.3, 4)
    worked = work(QUERIES, KEYS, VALUES)
    cells(axes[0], worked.products, "Q Kᵀ", highest=8.0, digits=0)
    cells(axes[1], worked.scores, "divided by √d_k = 2", highest=4.0, digits=0)
    cells(axes[2], worked.weights, "softmax of each row")
    cells(axes[3], worked.output, "times V", highest=2.0)
    return figure


def listing() -> "Figure":
    """The listing's layers above, the corrected ones below; red where the listing is wrong."""
    figure, (ax,) = figure_of(8.5, 2.6)
    blank(ax, (-1.7, 11.2), (-0.8, 2.9))
    before = ("Embedding", "GRU", "Linear", "position with\nposition", "softmax,\ndim=1", "loss")
    after = ("Linear", "GRU", "Linear", "every pair", "softmax\nover keys", "loss")
    rows = {2.0: ("the listing", before), 0.3: ("corrected", after)}
    wrong = ("L2 L3 L4", "L1 L5", "L6", "L7 L8 L10", "L9", "L11")
    for y, (title, layers) in rows.items():
        ax.text(-1.65, y, title, va="center", fontsize=9)
        for index, layer in enumerate(layers):
            x = 1.0 + 1.85 * index
            box(ax, x, y, layer, RED if y > 1 else GREEN, width=1.4)
            if y > 1:
                ax.text(x, y + 0.55, wrong[index], ha="center", fontsize=8, color=RED)
            if index:
                arrow(ax, (x - 1.12, y), (x - 0.74, y))
    return figure


def training() -> "Figure":
    """The loss of ten seeds, and of the start with W = U = v = 0."""
    with jax.enable_x64(True):
        seeds, stuck = train_all(Config(steps=1000))
    figure, (ax,) = figure_of(6, 2.6)
    ax.patch.set_alpha(0)
    ax.plot(np.asarray(seeds.losses).T, color=BLUE, linewidth=0.7, alpha=0.8)
    ax.plot(np.asarray(stuck.losses), color=RED, linewidth=1.6)
    ax.set(yscale="log", xlabel="steps of Adam", ylabel="loss")
    ax.text(1010, float(stuck.losses[-1]), "zero start", color=RED, va="center")
    ax.text(1010, float(np.median(seeds.losses[:, -1])), "ten seeds", color=BLUE, va="center")
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def applications() -> "Figure":
    """A decoder's states read a padded source sentence: the padding gets weight zero."""
    random = np.random.default_rng(0)
    scores = 2.0 * random.standard_normal((3, 6)) + 4.0 * np.eye(3, 6)
    weights = jattn.softmax(jnp.asarray(scores, "float32"), jattn.masks.lengths(4))
    figure, (ax,) = figure_of(5, 2.2)
    cells(ax, np.asarray(weights), "each target word reads the source; padding gets zero")
    ax.set_xticks(range(6), ["I", "like", "black", "tea", "pad", "pad"])
    ax.set_yticks(range(3), ["ich", "mag", "Schwarztee"])
    return figure


def outlook() -> "Figure":
    """Queries of one modality, keys of another: words read the patches of an image."""
    random = np.random.default_rng(1)
    figure, axes = figure_of(7, 2.0, 4)
    for ax, word, centre in zip(axes, ("a", "red", "house", "stands"), (4, 1, 4, 7), strict=True):
        y, x = np.divmod(np.arange(9), 3)
        scores = -1.2 * ((y - centre // 3) ** 2 + (x - centre % 3) ** 2) + random.normal(0, 0.3, 9)
        weights = jattn.softmax(jnp.asarray(scores[None], "float32"), None)
        cells(ax, np.asarray(weights).reshape(3, 3), word, highest=0.7)
    return figure


def cost() -> "Figure":
    """Operations of additive self-attention by length, as `jattn.trace` counts them."""
    lengths = (16, 32, 64, 128, 256, 512)
    params = jattn.init_additive(jax.random.key(0), query_size=3, key_size=3, units=3)
    counts = []
    for length in lengths:
        sequence = jnp.ones((length, 3))
        traced = jattn.trace(jattn.additive_attention, params, sequence, sequence, sequence)
        counts.append(traced.operations)
    figure, (ax,) = figure_of(5, 2.4)
    ax.patch.set_alpha(0)
    ax.loglog(lengths, counts, "o-", color=BLUE)
    ax.loglog(lengths, counts[0] * np.array(lengths) / lengths[0], "--", color=GREY)
    ax.text(lengths[-1] * 1.08, counts[-1], "attention", color=BLUE, va="center")
    ax.text(lengths[-1] * 1.08, counts[0] * lengths[-1] / lengths[0], "linear", va="center")
    ax.set(xlabel="length", ylabel="operations", xticks=lengths, xticklabels=lengths)
    ax.minorticks_off()
    ax.spines[["top", "right"]].set_visible(False)
    return figure


PICTURES: dict[str, Callable[[], "Figure"]] = {
    "background": background,
    "kinds": kinds,
    "steps": steps,
    "formula": formula,
    "example": example,
    "listing": listing,
    "training": training,
    "applications": applications,
    "outlook": outlook,
    "cost": cost,
}


def svg(figure: "Figure") -> bytes:
    """Returns the figure as SVG, the same bytes at every run."""
    data = io.BytesIO()
    figure.savefig(data, format="svg", transparent=True, metadata={"Date": None})
    return data.getvalue()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.article.pictures", description=__doc__
    )
    parser.add_argument("--out", type=Path, default=FOLDER, help=f"folder (default: {FOLDER})")
    folder = parser.parse_args(arguments).out
    with colours():
        for name, draw in PICTURES.items():
            write_atomically(folder / f"article-{name}.svg", svg(draw()))
    print(f"wrote {len(PICTURES)} pictures to {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
