"""A convolutional network that describes each place of a canvas, and tells the digit there."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from experiments.captions.canvases import DIGIT, SIDE
from experiments.convolutions import ConvolutionParams, convolution, init_convolutions
from jattn.layers import AffineParams, affine, init_affine

GRID, CELL = 8, SIDE // 8  # Places in each direction, and the pixels of one.
STRIDES = (1, 2, 1, 2, 1)
CLASSES, EMPTY = 11, 10  # Of a place: ten digits, and none.
AT_ONCE = 500  # Canvases that are described at once.


class EncoderParams(NamedTuple):
    """Convolutions, normalized at each place, and the layer that tells digits by the result."""

    layers: tuple[ConvolutionParams, ...]
    classes: AffineParams


def init(rng: Key[Array, ""], channels: Sequence[int]) -> EncoderParams:
    """Draws the weights."""
    layers_rng, classes_rng = jax.random.split(rng)
    classes = init_affine(
        classes_rng, input_size=channels[-1], output_size=CLASSES, dtype=jnp.float32
    )
    return EncoderParams(init_convolutions(layers_rng, (1, *channels)), classes)


def features(params: EncoderParams, images: Int[Array, "b y x"]) -> Float[Array, "b s d"]:
    """Returns the features of each place of the grid, row by row.

    A place sees 21 x 21 pixels. Norms are of the channels of one place, so the features of an empty
    place do not depend on what is elsewhere.
    """

    def of_image(image):
        rows = image[..., None].astype(jnp.float32) / 255
        for layer, stride in zip(params.layers, STRIDES, strict=True):
            rows = convolution(layer, rows, stride)
        return rows.reshape(GRID * GRID, -1)

    return jax.vmap(of_image)(images)


def classes(params: EncoderParams, images: Int[Array, "b y x"]) -> Float[Array, "b s c"]:
    """Returns scores of the classes of each place."""
    rows = features(params, images)
    scores = affine(params.classes, rows.reshape(-1, rows.shape[-1]))
    return scores.reshape(*rows.shape[:2], CLASSES)


_features = jax.jit(features)


def described(params: EncoderParams, images: np.ndarray) -> np.ndarray:
    """Returns the features of many canvases, [n s d], which are computed in batches."""
    starts = range(0, len(images), AT_ONCE)
    return np.concatenate([_features(params, images[first : first + AT_ONCE]) for first in starts])


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
