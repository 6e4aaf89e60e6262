"""Convolutional layers."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

SIDE = 3  # Of the kernels, in places.


class ConvolutionParams(NamedTuple):
    """The kernel and the bias of a layer from `i` to `o` channels."""

    kernel: Float[Array, "3 3 i o"]
    bias: Float[Array, " o"]


def init_convolutions(
    rng: Key[Array, ""], channels: Sequence[int]
) -> tuple[ConvolutionParams, ...]:
    """Draws a layer between each two numbers of channels, for rectified units.

    The variance is 2 / fan-in (He et al. 2015, arXiv:1502.01852, equation 10).
    """
    layers = []
    for key, inputs, outputs in zip(
        jax.random.split(rng, len(channels) - 1), channels, channels[1:], strict=False
    ):
        shape, deviation = (SIDE, SIDE, inputs, outputs), (2 / (SIDE**2 * inputs)) ** 0.5
        kernel = jax.random.normal(key, shape, jnp.float32) * deviation
        layers.append(ConvolutionParams(kernel, jnp.zeros(outputs, jnp.float32)))
    return tuple(layers)


def convolve(
    kernel: Float[Array, "m n i o"], features: Float[Array, "h w i"], stride: int = 1
) -> Float[Array, "k l o"]:
    """Convolves features with a kernel; beyond the border they are 0."""
    return jax.lax.conv_general_dilated(
        features[None],
        kernel,
        (stride, stride),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )[0]


def convolution(
    params: ConvolutionParams, features: Float[Array, "h w i"], stride: int
) -> Float[Array, "k l o"]:
    """Applies a layer of rectified units."""
    return jax.nn.relu(convolve(params.kernel, features, stride) + params.bias[None, None])
