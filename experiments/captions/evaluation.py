"""Measures of captions and of the attention behind them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.captions import model as captioning
from experiments.captions import retrieval
from experiments.captions.canvases import Canvases
from experiments.captions.config import Config
from experiments.captions.encoder import on_boxes
from experiments.captions.grammar import Rows
from experiments.captions.words import captions
from experiments.contrastive import recall
from jattn import training

AT_ONCE = 250  # Canvases that are captioned at once.
GALLERY = 500  # Canvases among which a caption finds its own.


class Measured(NamedTuple):
    """Measures of each canvas in one language.

    exact: whether the caption is right, word for word.
    pointed: of each word that names a digit, whether the largest weight is on the digit's box.
    mass: of each such word, the share of attention on the box.
    """

    exact: np.ndarray
    pointed: np.ndarray
    mass: np.ndarray


def measure(
    params: Any, canvases: Canvases, seen: np.ndarray, config: Config, model: str
) -> list[Measured]:
    """Captions canvases, and returns the measures in each language.

    Attention is that behind each word of the right caption, given the words before it.

    Args:
        seen: the encoder's features of the canvases.
    """
    tokens, _, named = captions(canvases.scenes, config.languages, captioning.LONGEST)
    said, weights = [], []
    for first in range(0, len(tokens), AT_ONCE):
        rows = slice(first, first + AT_ONCE)
        said.append(
            captioning.caption(params, seen[rows], languages=config.languages, model=model)[0]
        )
        weights.append(captioning.attended(params, seen[rows], tokens[rows], model=model))
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


def distinct(canvases: Canvases, most: int) -> np.ndarray:
    """Returns the index of the first canvas of each scene, at most so many."""
    first: dict[Any, int] = {}
    for index, scene in enumerate(canvases.scenes):
        first.setdefault(scene, index)
    return np.array(list(first.values())[:most])


def measure_retrieval(
    params: Any, scenes: Sequence[Rows], seen: np.ndarray, config: Config
) -> list[dict[int, float]]:
    """Returns recall at 1, 5 and 10 among canvases of different scenes, in each language."""
    tokens, lengths, _ = captions(scenes, config.languages, captioning.LONGEST)
    return [
        recall(retrieval.ranks(params, seen, tokens[:, index], lengths[:, index]))
        for index in range(len(config.languages))
    ]


def measured(
    params: Any, tests: Mapping[str, tuple[Canvases, np.ndarray]], config: Config, name: str
) -> dict[str, Any]:
    """Returns the measures of a model by test and language, of canvases and their features."""
    found: dict[str, Any] = {}
    for test, (canvases, features) in tests.items():
        if name == "retrieval":
            gallery = distinct(canvases, GALLERY)
            scenes = [canvases.scenes[row] for row in gallery]
            recalls = measure_retrieval(params, scenes, features[gallery], config)
            found[test] = {
                language: {"canvases": len(gallery), "recall": each}
                for language, each in zip(config.languages, recalls, strict=True)
            }
        else:
            each = measure(params, canvases, features, config, name)
            found[test] = {
                language: summary(one, canvases)
                for language, one in zip(config.languages, each, strict=True)
            }
    return found


def summary(one: Measured, canvases: Canvases) -> dict[str, Any]:
    """Returns means, and the share of right captions by the number of digits."""
    counts = np.array([sum(map(len, scene)) for scene in canvases.scenes])
    return {
        "exact": float(one.exact.mean()),
        "standard_error": training.standard_error(float(one.exact.mean()), len(one.exact)),
        "pointed": float(one.pointed.mean()),
        "mass": float(one.mass.mean()),
        "exact_by_count": {
            str(count): float(one.exact[counts == count].mean()) for count in np.unique(counts)
        },
    }
