"""Pictures of a run: a canvas under the attention of each word, for each model and language."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.both_themes import GREY, finish
from experiments.captions import encoder, retrieval
from experiments.captions import model as captioning
from experiments.captions.canvases import SIDE, Canvases, read_writers
from experiments.captions.canvases import draw as draw_canvases
from experiments.captions.encoder import GRID
from experiments.captions.grammar import Rows
from experiments.captions.train import load_encoder, load_weights
from experiments.captions.words import STOP, captions, names
from experiments.lettering import fonts_for
from jattn import plots
from jattn.plots.figure import families, new_figure
from jattn.plots.over_image import VEIL

DRAWN: tuple[Rows, ...] = (((4,), (9,)), ((2, 7), (6,)))  # Both have a pair that is held out.
SPELLED = (
    "零 líng, 一 yī, 二 èr, 三 sān, 四 sì, 五 wǔ, 六 liù, 七 qī, 八 bā, 九 jiǔ, 这 zhè, 是 shì,"
    " 和 hé, 横 héng, 排 pái, 左 zuǒ, 右 yòu, 上 shàng, 中 zhōng, 下 xià, 面 miàn, 间 jiān, 边 biān"
)
PINYIN: dict[str, str] = {pair[0]: pair[2:] for pair in SPELLED.split(", ")} | {
    "、": ",",
    "，": ",",
}


class Strip(NamedTuple):
    """The words of a canvas in a language, and attention on places [w s].

    A model that captions has a row of weights for each word. Co-attention has one row, and in
    `shares` the weights of the words.
    """

    model: str
    language: str
    image: np.ndarray
    words: list[str]
    weights: np.ndarray
    shares: np.ndarray | None = None


def draw(out: Path) -> Iterator[str]:
    """Draws the attention of each model that `out` holds, and its curves; yields a line each.

    Raises:
        OSError: `out` holds no run.
        ValueError: a file is damaged.
    """
    path = out / "results.json"
    try:
        trained = list(json.loads(path.read_text("utf-8"))["models"])
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path}: is no record of this experiment") from None
    canvases = examples()
    seen = encoder.described(load_encoder(out), canvases.images)
    captioned = [name for name in trained if name != "retrieval"]
    if captioned:
        strips = [strip for name in captioned for strip in strips_of(out, name, canvases, seen)]
        yield from _write(out / "words.png", lambda: strips_picture(strips))
    if "retrieval" in trained:
        pairs = list(pair_strips(out, canvases, seen))
        yield from _write(out / "pairs.png", lambda: pairs_picture(pairs))
    for name in trained:
        log = out / name / "log.jsonl"
        if log.stat().st_size:  # A run of no steps has no curve.
            yield from _write(
                out / name / "learning_curve.png",
                lambda log=log: _finished(plots.learning_curve(log)),
            )


def examples() -> Canvases:
    """Draws the canvases of the picture with digits of the writers to test on."""
    rng = np.random.default_rng(3)
    return draw_canvases(rng, read_writers().test, list(DRAWN))


def strips_of(out: Path, name: str, canvases: Canvases, seen: np.ndarray) -> Iterator[Strip]:
    """Yields what a model says of the canvases, in each language."""
    params, config = load_weights(out, name)
    tokens, weights = captioning.caption(params, seen, languages=config.languages, model=name)
    meaning = names(config.languages)
    for index, image in enumerate(canvases.images):
        for place, language in enumerate(config.languages):
            said = np.asarray(tokens[index, place])
            count = int((said != STOP).cumprod().sum())
            words = [meaning[token] for token in said[:count]]
            behind = np.asarray(weights[index, place, :count])
            yield Strip(name, language, image, words, behind)


def pair_strips(out: Path, canvases: Canvases, seen: np.ndarray) -> Iterator[Strip]:
    """Yields the words of right captions with their weights, and the places with theirs."""
    params, config = load_weights(out, "retrieval")
    tokens, lengths, _ = captions(canvases.scenes, config.languages, captioning.LONGEST)
    meaning = names(config.languages)
    for index, image in enumerate(canvases.images):
        for place, language in enumerate(config.languages):
            count = lengths[index, place] - 1
            said = tokens[index, place, 1:]
            found = retrieval.attended(params, seen[index], said, count)
            words = [meaning[token] for token in said[:count]]
            shares = np.asarray(found.words_weights)[:count]
            yield Strip("co-attention", language, image, words, found.image_weights[None], shares)


def strips_picture(strips: Sequence[Strip]) -> Any:
    """Draws a row of panels for each strip: the canvas, then each word over its places."""
    columns = 1 + max(len(strip.words) for strip in strips)
    figure = new_figure(1.0 + 0.78 * columns, 1.08 * len(strips))
    figure.set_layout_engine("constrained")
    fonts, spelled = lettering("".join("".join(strip.words) for strip in strips))
    for panels, strip in zip(
        figure.subplots(len(strips), columns, squeeze=False), strips, strict=True
    ):
        for panel in panels:
            panel.set_axis_off()
        panels[0].imshow(strip.image, "gray", vmin=0, vmax=255)
        label = f"{strip.model}\n{strip.language}"
        panels[0].text(-0.1, 0.5, label, transform=panels[0].transAxes, ha="right", va="center",
                       size=7, color=GREY)  # fmt: skip
        for index, (panel, word) in enumerate(zip(panels[1:], strip.words, strict=False)):
            panel.set_title(spelled(word), family=fonts, size=8, pad=2)
            _draw_weights(panel, strip.image, strip.weights[index])
    finish(figure)
    return figure


def pairs_picture(pairs: Sequence[Strip]) -> Any:
    """Draws each canvas under the attention on its places, beside the weights of the words."""
    fonts, spelled = lettering("".join("".join(pair.words) for pair in pairs))
    figure = new_figure(6.4, 1.5 * len(pairs))
    figure.set_layout_engine("constrained")
    grid = figure.add_gridspec(len(pairs), 2, width_ratios=(1, 4))
    for row, pair in enumerate(pairs):
        left, right = (figure.add_subplot(grid[row, column]) for column in (0, 1))
        left.set_axis_off()
        _draw_weights(left, pair.image, pair.weights[0])
        assert pair.shares is not None
        places = np.arange(len(pair.words))
        right.bar(places, 100 * pair.shares, color=VEIL)
        right.set_xticks(places, [spelled(word) for word in pair.words], family=fonts, size=8)
        right.set_ylabel("%")
    finish(figure)
    return figure


def _draw_weights(panel: Any, image: np.ndarray, weights: np.ndarray) -> None:
    """Draws a canvas under the weights of its places."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgba

    veil = LinearSegmentedColormap.from_list("veil", [to_rgba(VEIL, 0.0), to_rgba(VEIL, 0.9)])
    panel.imshow(image, "gray", vmin=0, vmax=255)
    panel.imshow(
        weights.reshape(GRID, GRID),
        veil,
        vmin=0,
        vmax=max(float(weights.max()), 0.25),
        extent=(-0.5, SIDE - 0.5, SIDE - 0.5, -0.5),
    )


def lettering(letters: str) -> tuple[list[str], Callable[[str], str]]:
    """Returns font families, and how a word is spelled: in Pinyin if no font has its letters."""
    fonts = fonts_for(letters)
    if fonts is not None:
        return fonts, str
    return families([""]), in_pinyin


def in_pinyin(word: str) -> str:
    """Returns Chinese characters as they are spoken, and anything else as it is."""
    return "".join([PINYIN.get(letter, letter) for letter in word])


def _finished(figure: Any) -> Any:
    finish(figure)
    return figure


def _write(path: Path, picture: Any) -> Iterator[str]:
    try:
        plots.save(picture(), path)
        yield f"wrote {path}"
    except ImportError as error:
        yield f"no {path.name}: {error}"
