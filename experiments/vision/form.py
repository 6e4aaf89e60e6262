"""The size of images, what a model predicts, and how layers are drawn."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

import jattn


class Form(NamedTuple):
    """The size of images and of the grid of their patches, and the strides of convolutions."""

    side: int
    grid: int
    strides: tuple[int, ...]


FORMS = {"digits": Form(8, 4, (1, 1, 2, 1)), "mnist": Form(28, 7, (2, 1, 2, 1))}


class Prediction(NamedTuple):
    """Scores of digits before softmax, and weights of patches, one row a look; None without.

    Patches are counted row by row. Rows are weights that sum to 1, or the factors of a gate.
    """

    logits: Float[Array, " c"]
    weights: Float[Array, "g p"] | None


def draw_linear(rng: Key[Array, ""], inputs: int, outputs: int) -> jattn.AffineParams:
    return jattn.init_affine(rng, input_size=inputs, output_size=outputs, dtype=jnp.float32)


def draw_normal(rng: Key[Array, ""], *shape: int) -> Array:
    return 0.02 * jax.random.normal(rng, shape, jnp.float32)
