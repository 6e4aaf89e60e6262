"""The encoder's first training: which digit is on a small canvas that holds one.

Xu et al. (2015) take an encoder that was trained to classify images before. This one sees canvases
of 16 x 16 pixels with one digit somewhere, and says which it is by the largest of each feature over
all places. No place is ever given.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key

from experiments.captions import encoder
from experiments.captions.canvases import DIGIT
from experiments.captions.config import Config
from experiments.captions.encoder import EncoderParams
from experiments.digits import Digits
from jattn.layers import LinearParams, init_linear, linear

SMALL = 16  # Pixels: a quarter of a canvas, and of its time.


class Params(NamedTuple):
    """Weights of the encoder, and of the layer that tells digits by what it sees."""

    encoder: EncoderParams
    digits: LinearParams


def examples(rng: np.random.Generator, digits: Digits) -> tuple[np.ndarray, np.ndarray]:
    """Returns a small canvas of each digit, at a drawn place, and the digits."""
    images = np.zeros((len(digits.images), SMALL, SMALL), np.uint8)
    corners = rng.integers(0, SMALL - DIGIT + 1, (len(images), 2))
    for image, digit, (y, x) in zip(images, digits.images, corners, strict=True):
        image[y : y + DIGIT, x : x + DIGIT] = np.round(255 * digit)
    return images, digits.labels


def init(rng: Key[Array, ""], config: Config) -> Params:
    """Draws the weights."""
    encoder_rng, digits_rng = jax.random.split(rng)
    return Params(
        encoder.init(encoder_rng, config.channels, config.features),
        init_linear(digits_rng, input_size=config.features, output_size=10),
    )


def loss(
    params: Params, batch: Mapping[str, Any], rng: Key[Array, ""], *, config: Config
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Returns the cross entropy of the digits, and the share that is told right."""
    rows = encoder.seen(params.encoder, batch["images"], config.dropout, rng)
    logits = _logits(params, rows)
    entropy = optax.losses.softmax_cross_entropy_with_integer_labels(logits, batch["digits"])
    return entropy.mean(), {"accuracy": (logits.argmax(-1) == batch["digits"]).mean()}


@jax.jit
def told(params: Params, images: Int[Array, "b y x"]) -> Int[Array, " b"]:
    """Returns the digit of each canvas of one."""
    return _logits(params, encoder.seen(params.encoder, images)).argmax(-1)


def _logits(params: Params, rows: Float[Array, "b s d"]) -> Float[Array, "b 10"]:
    return linear(params.digits, rows.max(1))
