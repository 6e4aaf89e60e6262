"""Measures of captions and of the attention behind them."""

from typing import Any, NamedTuple

import numpy as np

from experiments.captions import model as captioning
from experiments.captions import retrieval
from experiments.captions.canvases import DIGIT, Canvases
from experiments.captions.config import Config
from experiments.captions.encoder import CELL, GRID
from experiments.captions.words import captions

AT_ONCE = 250  # Canvases that are captioned at once.


class Measured(NamedTuple):
    """What is measured of each canvas in one language.

    exact: whether the caption is right, word for word.
    pointed: of each word that names a digit, whether the largest weight is on the digit's box.
    mass: of each such word, the share of attention on the box.
    """

    exact: np.ndarray
    pointed: np.ndarray
    mass: np.ndarray


def on_boxes(corners: np.ndarray) -> np.ndarray:
    """Returns whether the centre of each place of the grid is on the box of a digit, [n s].

    The box has 8 x 8 pixels, and so holds the centres of 2 x 2 places.

    Args:
        corners: [n 2], (y, x) of the digits' first pixels.
    """
    row, column = np.divmod(np.arange(GRID * GRID), GRID)
    centres = CELL * np.stack([row, column], -1) + CELL / 2
    from_corner = centres[None] - corners[:, None]
    return np.all((from_corner > 0) & (from_corner <= DIGIT), axis=-1)


def measure(params: Any, canvases: Canvases, config: Config, model: str) -> list[Measured]:
    """Captions canvases, and returns the measures in each language.

    Attention is that behind each word of the right caption, given the words before it.
    """
    tokens, _, named = captions(canvases.scenes, config.languages, captioning.LONGEST)
    said, weights = [], []
    for first in range(0, len(tokens), AT_ONCE):
        rows = slice(first, first + AT_ONCE)
        images = canvases.images[rows]
        said.append(captioning.caption(params, images, config=config, model=model)[0])
        weights.append(captioning.attended(params, images, tokens[rows], model=model))
    exact = (np.concatenate(said) == tokens[..., 1:]).all(-1)
    canvas, language, word = np.nonzero(named >= 0)
    behind = np.concatenate(weights)[canvas, language, word]
    box = on_boxes(canvases.corners[canvas, named[canvas, language, word]])
    pointed = box[np.arange(len(box)), behind.argmax(-1)]
    mass = (behind * box).sum(-1)
    return [
        Measured(exact[:, index], pointed[language == index], mass[language == index])
        for index in range(len(config.languages))
    ]


def distinct(canvases: Canvases, most: int) -> Canvases:
    """Returns the first canvas of each scene, at most so many."""
    first: dict[Any, int] = {}
    for index, scene in enumerate(canvases.scenes):
        first.setdefault(scene, index)
    rows = list(first.values())[:most]
    scenes = [canvases.scenes[row] for row in rows]
    return Canvases(canvases.images[rows], scenes, canvases.corners[rows])


def measure_retrieval(params: Any, canvases: Canvases, config: Config) -> list[dict[int, float]]:
    """Returns recall at 1, 5 and 10 among the canvases, in each language."""
    tokens, lengths, _ = captions(canvases.scenes, config.languages, captioning.LONGEST)
    return [
        retrieval.recall(
            retrieval.ranks(params, canvases.images, tokens[:, index], lengths[:, index])
        )
        for index in range(len(config.languages))
    ]
