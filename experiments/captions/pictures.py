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

DRAWN: tuple[Rows, ...] = (((5,), (4,)), ((2, 7), (6,)))  # Both have a pair that is held out.
SPELLED = (
    "零 líng, 一 yī, 二 èr, 三 sān, 四 sì, 五 wǔ, 六 liù, 七 qī, 八 bā, 九 jiǔ, 这 zhè, 是 shì,"
    " 和 hé, 横 héng, 排 pái, 左 zuǒ, 右 yòu, 上 shàng, 中 zhōng, 下 xià, 面 miàn, 间 jiān, 边 biān"
)
PINYIN: dict[str, str] = {pair[0]: pair[2:] for pair in SPELLED.split(", ")} | {
    "、": ",",
    "，": ",",
}


class Strip(NamedTuple):
    """The words that a model says of a canvas in a language, and the attention behind each."""

    model: str
    language: str
    image: np.ndarray
    words: list[str]
    weights: np.ndarray


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
        strips = pair_strips(out, canvases, seen)
        yield from _write(out / "pairs.png", lambda: strips_picture(strips))
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
    tokens, weights = captioning.caption(params, seen, config=config, model=name)
    meaning = names(config.languages)
    for index, image in enumerate(canvases.images):
        for place, language in enumerate(config.languages):
            said = np.asarray(tokens[index, place])
            count = int((said != STOP).cumprod().sum())
            words = [meaning[token] for token in said[:count]]
            behind = np.asarray(weights[index, place, :count])
            yield Strip(name, language, image, words, behind)


def pair_strips(out: Path, canvases: Canvases, seen: np.ndarray) -> list[Strip]:
    """Returns the words of right captions and the places, by what co-attention gives them."""
    params, config = load_weights(out, "retrieval")
    tokens, lengths, _ = captions(canvases.scenes, config.languages, captioning.LONGEST)
    meaning, strips = names(config.languages), []
    for index, image in enumerate(canvases.images):
        for place, language in enumerate(config.languages):
            count = lengths[index, place] - 1
            said = tokens[index, place, 1:]
            found = retrieval.attended(params, seen[index], said, count)
            shares = np.asarray(found.words_weights)[:count]
            words = [
                f"{meaning[token]}\n{100 * share:.0f} %"
                for token, share in zip(said[:count], shares, strict=True)
            ]
            strips.append(Strip("co-attention", language, image, words, found.image_weights[None]))
    return strips


def strips_picture(strips: Sequence[Strip]) -> Any:
    """Draws a row of panels for each strip: the canvas, then each word over its places."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgba

    columns = 1 + max(len(strip.words) for strip in strips)
    figure = new_figure(1.0 + 0.78 * columns, 1.08 * len(strips))
    figure.set_layout_engine("constrained")
    veil = LinearSegmentedColormap.from_list("veil", [to_rgba(VEIL, 0.0), to_rgba(VEIL, 0.9)])
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
            weights = strip.weights[min(index, len(strip.weights) - 1)].reshape(GRID, GRID)
            panel.imshow(strip.image, "gray", vmin=0, vmax=255)
            panel.imshow(
                weights,
                veil,
                vmin=0,
                vmax=max(float(weights.max()), 0.25),
                extent=(-0.5, SIDE - 0.5, SIDE - 0.5, -0.5),
            )
    finish(figure)
    return figure


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
