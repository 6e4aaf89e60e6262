"""A small convolutional network that describes each place of a canvas."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

import jattn
from experiments.captions.canvases import SIDE
from jattn.layers import LinearParams, dropout, init_linear, linear

GRID, CELL = 8, SIDE // 8  # Places in each direction, and the pixels of one.
SCALE = 0.5  # Of what is seen, beside the position.


class EncoderParams(NamedTuple):
    """Three convolutions, two layers on each place, and a vector for each place.

    No layer has a bias. So an empty place has features of zero, and digits stand out.
    """

    convolutions: tuple[Float[Array, "y x i o"], ...]
    hidden: LinearParams
    output: LinearParams
    places: Float[Array, "s d"]


def init(
    rng: Key[Array, ""], channels: Sequence[int], features: int, dtype: Any = float
) -> EncoderParams:
    """Draws the weights; those of layers before a rectifier have variance 2 / fan-in."""
    rngs = jax.random.split(rng, 5)
    first, second, last = channels
    shapes = ((5, 5, 1, first), (3, 3, first, second), (4, 4, second, last))
    convolutions = tuple(
        jax.random.normal(each, shape, dtype) * (2 / (shape[0] * shape[1] * shape[2])) ** 0.5
        for each, shape in zip(rngs[:3], shapes, strict=True)
    )
    return EncoderParams(
        convolutions,
        init_linear(rngs[3], bias=False, input_size=last, output_size=last, dtype=dtype),
        init_linear(rngs[4], bias=False, input_size=last, output_size=features, dtype=dtype),
        _positions(features, dtype),
    )


def grid(
    params: EncoderParams,
    images: Int[Array, "b y x"],
    rate: float = 0.0,
    rng: Key[Array, ""] | None = None,
) -> Float[Array, "b s d"]:
    """Returns the features of each place of the grid, row by row, with its position.

    The scale is fixed, and the features of an empty place are zero. A norm of each place would make
    them as loud as those of digits, and attention would not find these.
    """
    return SCALE * seen(params, images, rate, rng) + params.places[None]


def seen(
    params: EncoderParams,
    images: Int[Array, "b y x"],
    rate: float = 0.0,
    rng: Key[Array, ""] | None = None,
) -> Float[Array, "b s d"]:
    """Returns what is seen at each place of the grid, row by row.

    A place sees 15 x 15 pixels around its centre: a digit that covers the centre, and no more of
    others than their edges.

    Args:
        rate: share of features that is dropped before the last layer.
        rng: the key that dropout is drawn from.
    """
    first, second, third = params.convolutions
    rows = images[..., None].astype(first.dtype) / 255
    rows = jax.nn.relu(_convolve(first, rows, 2))
    rows = jax.nn.relu(_convolve(second, rows, 1))
    rows = jax.nn.relu(_convolve(third, rows, 2))
    rows = rows.reshape(-1, rows.shape[-1])
    rows = dropout(rng, jax.nn.relu(linear(params.hidden, rows)), rate)
    features = linear(params.output, rows)
    return features.reshape(len(images), -1, features.shape[-1])


def _positions(features: int, dtype: Any) -> Float[Array, "s d"]:
    """Returns half of sinusoids: of the row in the first half of the features, then the column."""
    along = jattn.sinusoidal_positions(GRID, features // 2, dtype=dtype)
    return 0.5 * jnp.concatenate([jnp.repeat(along, GRID, 0), jnp.tile(along, (GRID, 1))], -1)


def _convolve(weight: Array, rows: Array, stride: int) -> Array:
    return jax.lax.conv_general_dilated(
        rows, weight, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
