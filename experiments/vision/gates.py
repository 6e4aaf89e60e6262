"""Gates on the features of convolutions, which weigh channels and places.

Sources: Hu, Shen & Sun (2018), Squeeze-and-Excitation Networks, arXiv:1709.01507, equations 2 to
4; Woo, Park, Lee & Kweon (2018), CBAM: Convolutional Block Attention Module, arXiv:1807.06521,
equations 1 to 3.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

import jattn

REDUCTION = 8  # Channels for each hidden unit of the network; both papers have 16, of more.
KERNEL = 3  # Places on a side that a spatial gate depends on. CBAM has 7, of larger grids, or 3.


class ChannelGateParams(NamedTuple):
    """The two layers of the network that weighs channels."""

    reduce: jattn.AffineParams
    expand: jattn.AffineParams


class CBAMParams(NamedTuple):
    """A gate of channels, and the kernel [3 3 2 1] of the gate of places."""

    channels: ChannelGateParams
    places: Float[Array, "3 3 2 1"]


class Gated(NamedTuple):
    """Features after a gate, and the factor of each place; None if places have none."""

    features: Float[Array, "h w c"]
    places: Float[Array, "h w"] | None


def init_channel_gate(rng: Key[Array, ""], channels: int) -> ChannelGateParams:
    """Draws the network's weights; there are no biases."""
    hidden = max(1, channels // REDUCTION)
    first, second = jax.random.split(rng)
    layer = lambda key, inputs, outputs: jattn.init_affine(
        key, input_size=inputs, output_size=outputs, bias=False, dtype=jnp.float32
    )
    return ChannelGateParams(layer(first, channels, hidden), layer(second, hidden, channels))


def init_cbam(rng: Key[Array, ""], channels: int) -> CBAMParams:
    """Draws both gates."""
    channel_rng, place_rng = jax.random.split(rng)
    shape = (KERNEL, KERNEL, 2, 1)
    kernel = jax.random.normal(place_rng, shape, jnp.float32) * (2 * KERNEL**2) ** -0.5
    return CBAMParams(init_channel_gate(channel_rng, channels), kernel)


def squeeze_excitation(params: ChannelGateParams, features: Float[Array, "h w c"]) -> Gated:
    """Weighs channels by a network of their means, as `jattn.images.squeeze_excitation` does."""
    return Gated(jattn.images.squeeze_excitation(_network(params), features).features, None)


def cbam(params: CBAMParams, features: Float[Array, "h w c"]) -> Gated:
    """Weighs channels, then places, by their means and maxima, as `jattn.images.cbam` does."""
    both = jattn.images.CBAMParams(_network(params.channels), params.places[..., 0])
    output = jattn.images.cbam(both, features)
    return Gated(output.features, output.places)


def _network(params: ChannelGateParams) -> jattn.images.ChannelGateParams:
    return jattn.images.ChannelGateParams(params.reduce.weight, params.expand.weight)
