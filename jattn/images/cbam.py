"""Convolutional block attention: Woo et al. (2018), arXiv:1807.06521."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn._axes import named_axes
from jattn._naming import named_value
from jattn._options import Size
from jattn._precision import at_least_float32
from jattn.images.squeeze import ChannelGateParams, channel_network, init_channel_gate


class CBAMParams(NamedTuple):
    """The network of the gate of channels, and the kernel of the gate of places."""

    channels: ChannelGateParams
    kernel: Float[Array, "m n 2"]


class CBAMOutput(NamedTuple):
    """Features after both gates, and the factors of channels and of places."""

    features: Float[Array, "y x c"]
    factors: Float[Array, " c"]
    places: Float[Array, "y x"]


@named_axes
def init_cbam(
    rng: Key[Array, ""], *, channels: Size, units: Size, size: Size = 7, dtype: DTypeLike = float
) -> CBAMParams:
    """Draws every weight from a normal with variance 1 / fan-in.

    Args:
        channels: number of channels.
        units: number of hidden units; the paper has a sixteenth of the channels.
        size: of the kernel, odd; the paper has 7.
        dtype: of the parameters, floating-point.

    Raises:
        ValueError: if a size is below 1, or dtype is not a floating-point dtype.
    """
    of_channels, of_places = jax.random.split(rng)
    kernel = jax.random.normal(of_places, (size, size, 2), dtype) * (2 * size**2) ** -0.5
    params = init_channel_gate(of_channels, channels=channels, units=units, dtype=dtype)
    return CBAMParams(params, kernel)


@named_axes
@at_least_float32
def cbam(params: CBAMParams, features: Float[Array, "y x c"]) -> CBAMOutput:
    """Multiplies channels by factors of their means and maxima, then places by factors of theirs.

        factors = sigmoid(network(mean over places) + network(maximum over places))
        gated   = factors ∘ features
        places  = sigmoid(convolution of [mean over channels; maximum over channels] of gated)
        outputs = places ∘ gated

    The network is that of `squeeze_excitation`, one for both. The convolution has zeros around the
    image and no bias. The paper names the factors M_c and M_s and the weights W_0 and W_1. Its
    authors' code normalizes the convolution over the batch.

    Raises:
        ValueError: if arguments disagree about an axis, an image has no place or no channel, or
            the kernel has an even number of rows or columns.
    """
    if 0 in features.shape:
        shape = features.shape
        raise ValueError(f"cbam: features has shape {shape}, expected at least one entry")
    rows, columns, _ = params.kernel.shape
    if rows % 2 == 0 or columns % 2 == 0:
        raise ValueError(
            f"cbam: params.kernel has shape {params.kernel.shape}, expected odd sizes (m, n)"
        )
    network = lambda squeezed: channel_network(params.channels, squeezed)
    logits = network(features.mean((0, 1))) + network(features.max((0, 1)))
    factors = named_value(jax.nn.sigmoid(logits), "weight/factors")
    gated = features * factors[None, None]
    squeezed = named_value(jnp.stack([gated.mean(2), gated.max(2)]), "encode/squeezed")
    kernel = jnp.moveaxis(params.kernel, 2, 0)[None]
    padding = [(rows // 2, rows // 2), (columns // 2, columns // 2)]
    convolved = lax.conv_general_dilated(squeezed[None], kernel, (1, 1), padding)[0, 0]
    places = named_value(jax.nn.sigmoid(convolved), "weight/places")
    return CBAMOutput(gated * places[:, :, None], factors, places)
