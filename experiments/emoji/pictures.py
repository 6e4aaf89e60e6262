"""Pictures of a run: what names find, and where attention goes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.both_themes import GREY, finish
from experiments.emoji import model
from experiments.emoji.config import POOLING, Config
from experiments.emoji.data import LANGUAGES, Emoji, Parts
from experiments.emoji.drawings import SIDE
from experiments.emoji.model import GRID
from experiments.emoji.train import Asked, Job, asked, load, ranks_by_language
from experiments.lettering import fonts_for
from jattn import plots
from jattn.plots.figure import new_figure
from jattn.plots.over_image import VEIL

SHOWN, FIRST = 5, 5  # Names of each kind, and pictures found first.
UNSHAPED = ("ar", "fa")  # Their letters are joined, which matplotlib does not do.
LEAST = 3  # Times an even weight that have full colour, or more if the largest weight has more.
FRAME = "#009E73"  # Of Okabe and Ito's palette.


class Name(NamedTuple):
    """A held-out emoji by its row, and a language by its row."""

    emoji: int
    language: int


def draw(parts: Parts, config: Config, out: Path) -> Iterator[str]:
    """Draws the pictures of the first seed's models, and their curves; yields a line for each."""
    held_out = asked(parts, parts.held_out)
    trained = [pooling for pooling in POOLING if pooling in config.models]
    params = {name: load(Job(name, config.seed), parts, config, out) for name in trained}
    best = "attention" if "attention" in params else trained[0]
    scores = np.asarray(model.scores(params[best], *held_out))
    pictures: dict[str, Any] = {
        "found.png": lambda: found_picture(parts.held_out, scores, config.seed)
    }
    attending = {name: each for name, each in params.items() if name != "mean"}
    if attending:
        pictures["attention.png"] = lambda: attention_picture(
            parts.held_out, held_out, scores, attending, config
        )
    for name in trained:
        log = out / Job(name, config.seed).folder / "log.jsonl"
        if log.stat().st_size:  # A run of no steps has no curve.
            pictures[f"learning-{name}.png"] = lambda log=log: plots.learning_curve(log)
    for file, picture in pictures.items():
        try:
            figure = picture()
            finish(figure)
            plots.save(figure, out / file)
            yield f"wrote {out / file}"
        except ImportError as error:
            yield f"no {file}: {error}"


def drawn_languages(emoji: Emoji) -> list[int]:
    """Returns the rows of the languages whose letters the installed fonts have."""
    return [
        row
        for row, language in enumerate(LANGUAGES)
        if language not in UNSHAPED and fonts_for("".join(emoji.names[language])) is not None
    ]


def examples(emoji: Emoji, ranks: np.ndarray, seed: int) -> list[Name]:
    """Draws names whose picture is among the first, then as many of others; languages take turns.

    No emoji is drawn twice.
    """
    rng, languages = np.random.default_rng(seed), drawn_languages(emoji)
    chosen: list[Name] = []
    for is_found in (True, False):
        wanted = len(chosen) + SHOWN
        for row in rng.permutation(len(emoji.emoji)):
            turn = languages[len(chosen) % len(languages)]
            is_new = row not in [name.emoji for name in chosen]
            if len(chosen) < wanted and is_new and (ranks[turn, row] <= FIRST) == is_found:
                chosen.append(Name(int(row), turn))
    return chosen


def found_picture(emoji: Emoji, scores: np.ndarray, seed: int) -> Any:
    """Draws names, and the pictures that they find first with the right one framed."""
    from matplotlib.patches import Rectangle

    ranks = ranks_by_language(scores)
    names = examples(emoji, ranks, seed)
    figure = new_figure(6.4, 0.72 * len(names) + 0.4)
    figure.set_layout_engine("constrained")
    panels = figure.subplots(
        len(names), FIRST + 2, squeeze=False, width_ratios=[4] + [1] * (FIRST + 1)
    )
    for row, (line, name) in enumerate(zip(panels, names, strict=True)):
        code = list(LANGUAGES)[name.language]
        said, rank = emoji.names[code][name.emoji], ranks[name.language, name.emoji]
        order = np.argsort(-scores[name.language, name.emoji], kind="stable")[:FIRST]
        for panel in line:
            panel.set_axis_off()
        line[0].text(1.0, 0.62, said, ha="right", va="center", size=9, color=GREY,
                     family=fonts_for(said), transform=line[0].transAxes)  # fmt: skip
        line[0].text(1.0, 0.2, f"{LANGUAGES[code]}, rank {rank}", ha="right", va="center", size=7,
                     color=GREY, transform=line[0].transAxes)  # fmt: skip
        for panel, index in zip(line[1:], (name.emoji, *order), strict=False):
            panel.imshow(emoji.pictures[index])
        for panel, index in zip(line[2:], order, strict=False):
            if index == name.emoji:
                panel.add_patch(Rectangle((-0.5, -0.5), SIDE, SIDE, fill=False, lw=4, ec=FRAME))
        if row == 0:
            for panel, title in zip(line[1:], ("its picture", *map(str, range(1, 6))), strict=True):
                panel.set_title(title, size=7)
    return figure


def attention_picture(
    emoji: Emoji, held_out: Asked, scores: np.ndarray, attending: dict[str, Any], config: Config
) -> Any:
    """Draws pictures under the weights of places, and names with the weights of characters."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgba

    names = examples(emoji, ranks_by_language(scores), config.seed)[: SHOWN + 1]
    veil = LinearSegmentedColormap.from_list("veil", [to_rgba(VEIL, 0.0), to_rgba(VEIL, 0.9)])
    figure = new_figure(7.4, 0.95 * len(names) + 0.3)
    figure.set_layout_engine("constrained")
    count = len(attending)
    panels = figure.subplots(
        len(names), 2 + count, squeeze=False, width_ratios=[1] * (1 + count) + [5]
    )
    extent = (-0.5, SIDE - 0.5, SIDE - 0.5, -0.5)
    for row, (line, name) in enumerate(zip(panels, names, strict=True)):
        code = list(LANGUAGES)[name.language]
        line[0].imshow(emoji.pictures[name.emoji])
        read = (
            held_out.tokens[name.emoji, name.language],
            held_out.lengths[name.emoji, name.language],
        )
        shares = {}
        for panel, (pooling, params) in zip(line[1:], attending.items(), strict=False):
            pair = model.attended(params, held_out.pictures[name.emoji], *read)
            weights = np.asarray(pair.places).reshape(GRID, GRID)
            panel.imshow(emoji.pictures[name.emoji].mean(-1), "gray", vmin=0, vmax=255)
            panel.imshow(
                weights,
                veil,
                vmin=0,
                vmax=max(float(weights.max()), LEAST / weights.size),
                extent=extent,
            )
            shares[pooling] = np.asarray(pair.characters)[: read[1]]
            if row == 0:
                panel.set_title(pooling, size=7)
        _letters(line[-1], emoji.names[code][name.emoji], shares, veil)
        for panel in line:
            panel.set_axis_off()
    return figure


def _letters(panel: Any, said: str, shares: dict[str, np.ndarray], veil: Any) -> None:
    """Draws a name, and below each character its share of the weights of each model."""
    rows = np.stack(list(shares.values()))
    count = rows.shape[1]
    most = max(float(rows.max()), LEAST / count)
    extent = (0, count, len(rows), 0)
    panel.imshow(rows, veil, vmin=0, vmax=most, aspect="auto", extent=extent)
    panel.set(xlim=(0, max(count, 24) + 5), ylim=(len(rows) + 0.3, -1))
    for place, letter in enumerate(said[:count]):
        panel.text(place + 0.5, -0.4, letter, ha="center", va="center", size=9, color=GREY,
                   family=fonts_for(said))  # fmt: skip
    for row, pooling in enumerate(shares):
        panel.text(count + 0.4, row + 0.5, pooling, va="center", size=6, color=GREY)
