"""Convolutional layers of rectified units, normalized at each place."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

import jattn

SIDE = 3  # Of the kernels, in places.


class ConvolutionParams(NamedTuple):
    """The kernel of a layer from `i` to `o` channels, and the norm of its results."""

    kernel: Float[Array, "3 3 i o"]
    norm: jattn.LayerNormParams


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
        norm = jattn.init_layer_norm(size=outputs, dtype=jnp.float32)
        layers.append(ConvolutionParams(kernel, norm))
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
    """Convolves, normalizes the channels of each place, and cuts off what is below 0.

    Without norms gates, which are about 1/2 at first, would shrink the features of each layer.
    """
    convolved = convolve(params.kernel, features, stride)
    rows = convolved.reshape(-1, convolved.shape[-1])
    return jax.nn.relu(jattn.layer_norm(params.norm, rows)).reshape(convolved.shape)
