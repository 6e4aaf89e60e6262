"""Features of the places of a canvas, and a summary of its layout, from the encoder's features."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

import jattn
from experiments.captions.encoder import GRID
from jattn.layers import AffineParams, affine, init_affine

POSITIONS = 16  # Sinusoids of the row of a place, and as many of its column.


class SummaryParams(NamedTuple):
    """Weights of the summary that begins the GRU: a layer, and the norm of its results."""

    layer: AffineParams
    norm: jattn.LayerNormParams


def init_grid(rng: Key[Array, ""], seen: int, size: int) -> AffineParams:
    """Draws the layer on each place, which reads three times `seen` features and the position."""
    return init_affine(rng, input_size=3 * seen + 2 * POSITIONS, output_size=size)


def grid(params: AffineParams, seen: Float[Array, "s v"]) -> Float[Array, "s d"]:
    """Returns features of each place: a layer on all that is known of it.

    These are the encoder's features there, their means over its row and over its column, and the
    position. The means tell how many digits share the row: hard attention reads one place for each
    word, and would not know it otherwise.
    """
    dtype = params.weight.dtype
    along = jattn.sinusoidal_positions(GRID, POSITIONS, dtype=dtype)
    square = seen.astype(dtype).reshape(GRID, GRID, -1)
    known = (
        *(square, square.mean(1, keepdims=True), square.mean(0, keepdims=True)),
        *(along[:, None], along[None]),
    )
    known = [jnp.broadcast_to(each, (GRID, GRID, each.shape[-1])) for each in known]
    return jax.nn.relu(affine(params, jnp.concatenate(known, -1).reshape(GRID * GRID, -1)))


def init_summary(rng: Key[Array, ""], *, seen: int, size: int) -> SummaryParams:
    """Draws the weights of the summary, which reads `seen` features of each row and column."""
    layer = init_affine(rng, input_size=2 * GRID * seen, output_size=size)
    return SummaryParams(layer, jattn.init_layer_norm(size=size))


def summarize(params: SummaryParams, rows: Float[Array, "s d"]) -> Float[Array, " u"]:
    """Returns features of the layout, from the means of each row and each column of places.

    The mean of all places would not tell a digit above another from one beside it. Without the norm
    the first state of the GRU would soon be 1 or -1 in each unit, the same for all canvases.
    """
    square = rows.reshape(GRID, GRID, -1)
    means = jnp.concatenate([square.mean(0).ravel(), square.mean(1).ravel()])
    return jattn.layer_norm(params.norm, jax.nn.relu(affine(params.layer, means)))
