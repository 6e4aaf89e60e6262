"""The encoder's training: which digit is at each place of a canvas that is full of digits.

Xu et al. (2015) take an encoder that was trained to classify images, and do not train it further.
This one is told the digit at each place, or that there is none, so it is a detector of digits. Then
it is frozen. The models that caption are never told a place.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key

from experiments.captions import encoder
from experiments.captions.canvases import HELD_OUT_DIFFERENCE, Canvases, draw
from experiments.captions.encoder import CLASSES, EMPTY, GRID, EncoderParams, on_boxes
from experiments.captions.grammar import Rows
from experiments.handwritten_digits import Images


def examples(rng: np.random.Generator, digits: Images, count: int) -> Canvases:
    """Draws canvases of up to three rows of up to three digits, without held-out pairs."""
    return draw(rng, digits, [_full_scene(rng) for _ in range(count)])


def _full_scene(rng: np.random.Generator) -> Rows:
    halves = np.arange(5)
    # One digit of each pair with the held-out difference.
    allowed = np.where(rng.integers(0, 2, 5), halves, halves + HELD_OUT_DIFFERENCE)
    sizes = rng.choice((1, 2, 3, 3), rng.choice((2, 3, 3)))
    return tuple(tuple(int(digit) for digit in rng.choice(allowed, size)) for size in sizes)


def labels(canvases: Canvases) -> np.ndarray:
    """Returns the digit at each place whose centre is on a digit's box, `EMPTY` elsewhere."""
    told = np.full((len(canvases.scenes), GRID * GRID), EMPTY, np.int32)
    for each, rows, corners in zip(told, canvases.scenes, canvases.corners, strict=True):
        digits = [digit for row in rows for digit in row]
        for digit, box in zip(digits, on_boxes(corners[: len(digits)]), strict=True):
            each[box] = digit
    return told


def loss(
    params: EncoderParams, batch: Mapping[str, Any], _rng: Key[Array, ""], *, smoothing: float
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Returns the cross entropy of the classes of all places, and how often they are right."""
    logits = encoder.classes(params, batch["images"])
    wanted = optax.losses.smooth_labels(
        jax.nn.one_hot(batch["labels"], CLASSES, dtype=logits.dtype), smoothing
    )
    entropy = optax.losses.softmax_cross_entropy(logits, wanted).mean()
    right = logits.argmax(-1).astype(jnp.int32) == batch["labels"]
    return entropy, {"accuracy": right.mean(dtype=logits.dtype)}


_classes = jax.jit(encoder.classes)


def accuracy(params: EncoderParams, canvases: Canvases) -> dict[str, float]:
    """Returns how often digits are told right by the scores on their boxes, and places as empty."""
    scores, told = np.asarray(_classes(params, canvases.images)), labels(canvases)
    right = []
    for each, rows, corners in zip(scores, canvases.scenes, canvases.corners, strict=True):
        digits = [digit for row in rows for digit in row]
        for digit, box in zip(digits, on_boxes(corners[: len(digits)]), strict=True):
            right.append(each[box, :EMPTY].mean(0).argmax() == digit)
    is_empty = told == EMPTY
    return {
        "digits": float(np.mean(right)),
        "digit_places": float((scores.argmax(-1) == told)[~is_empty].mean()),
        "empty_places": float((scores.argmax(-1) == told)[is_empty].mean()),
    }
