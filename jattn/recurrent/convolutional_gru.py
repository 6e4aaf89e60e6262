"""A GRU over images: Ballas et al. (2016), arXiv:1511.06432."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn._axes import named_axes
from jattn._options import Count, Size
from jattn._precision import at_least_float32


class ConvolutionalGRUParams(NamedTuple):
    """Kernels of a GRU of `n` channels, gates stacked in the order reset, update, candidate."""

    input_kernel: Float[Array, "3 n l m i"]
    hidden_kernel: Float[Array, "3 n l m n"]
    bias: Float[Array, "3 n"]


@named_axes
def init_convolutional_gru(
    rng: Key[Array, ""],
    *,
    input_channels: Count,
    channels: Count,
    size: Size = 3,
    dtype: DTypeLike = float,
) -> ConvolutionalGRUParams:
    """Draws kernels from a normal with variance 1 / fan-in; biases start at zero.

    Args:
        size: rows and columns of the kernels, odd; 3 in the paper.

    Raises:
        ValueError: if a size is negative or `dtype` is not a floating-point dtype.
    """
    parts = zip(jax.random.split(rng), (input_channels, channels), strict=True)
    input_kernel, hidden_kernel = (
        jax.random.normal(part, (3, channels, size, size, fan_in), dtype)
        * max(size * size * fan_in, 1) ** -0.5
        for part, fan_in in parts
    )
    return ConvolutionalGRUParams(input_kernel, hidden_kernel, jnp.zeros((3, channels), dtype))


@named_axes
@at_least_float32
def convolutional_gru_cell(
    params: ConvolutionalGRUParams,
    hidden: Float[Array, "y x n"],
    inputs: Float[Array, "y x i"],
) -> Float[Array, "y x n"]:
    """Computes one step of a GRU whose products are convolutions, with zeros around the images.

        reset     = sigmoid(input_kernel[0] * inputs + hidden_kernel[0] * hidden + bias[0])
        update    = the same with [1]
        candidate = tanh(input_kernel[2] * inputs + hidden_kernel[2] * (reset ∘ hidden) + bias[2])
        new       = (1 - update) ∘ candidate + update ∘ hidden

    The reset comes before the product, as in `reset_before_gru_cell`, which this is at each place
    with kernels of one entry. The paper's update gate z multiplies the candidate: it is 1 minus
    this one. Its equations have no biases. Kernels are not flipped.

        >>> params = init_convolutional_gru(jax.random.key(0), input_channels=1, channels=1)
        >>> print(convolutional_gru_cell(params, jnp.zeros((4, 5, 1)), jnp.ones((4, 5, 1))).shape)
        (4, 5, 1)

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or the kernels have an even
            number of rows or columns.
    """
    rows, columns = params.input_kernel.shape[2:4]
    if rows % 2 == 0 or columns % 2 == 0:
        shape = params.input_kernel.shape
        raise ValueError(
            f"convolutional_gru_cell: params.input_kernel has shape {shape}, expected odd l and m"
        )
    units, biases = hidden.shape[2], params.bias.reshape(-1)[None, None]
    of_inputs = _convolved(params.input_kernel, inputs) + biases
    of_hidden = _convolved(params.hidden_kernel[:2], hidden)
    gates = jax.nn.sigmoid(of_inputs[..., : 2 * units] + of_hidden)
    reset, update = gates[..., :units], gates[..., units:]
    through = _convolved(params.hidden_kernel[2:], reset * hidden)
    candidate = jnp.tanh(of_inputs[..., 2 * units :] + through)
    return (1.0 - update) * candidate + update * hidden


def _convolved(
    kernels: Float[Array, "g n l m i"], image: Float[Array, "y x i"]
) -> Float[Array, "y x g*n"]:
    """Returns the channels of all gates, one gate after the other."""
    gates, units, rows, columns, channels = kernels.shape
    padding = [(rows // 2, rows // 2), (columns // 2, columns // 2)]
    flat = kernels.reshape(gates * units, rows, columns, channels)
    if 0 in (*image.shape, units):  # XLA's convolutions on a CPU end the process.
        return jnp.zeros((*image.shape[:2], gates * units), image.dtype)
    layout = ("NHWC", "OHWI", "NHWC")
    return lax.conv_general_dilated(image[None], flat, (1, 1), padding, dimension_numbers=layout)[0]
