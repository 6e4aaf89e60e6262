"""Squeeze and excitation: Hu, Shen & Sun (2018), arXiv:1709.01507."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn._axes import named_axes
from jattn._naming import named_value
from jattn._options import Size
from jattn._precision import at_least_float32


class ChannelGateParams(NamedTuple):
    """A network from `c` channels to `p` units and back; the paper's has no biases."""

    reduce_weight: Float[Array, "p c"]
    expand_weight: Float[Array, "c p"]
    reduce_bias: Float[Array, " p"] | None = None
    expand_bias: Float[Array, " c"] | None = None


class ChannelsOutput(NamedTuple):
    """Features after a gate of channels, and the factor of each channel."""

    features: Float[Array, "y x c"]
    factors: Float[Array, " c"]


@named_axes
def init_channel_gate(
    rng: Key[Array, ""], *, channels: Size, units: Size, dtype: DTypeLike = float
) -> ChannelGateParams:
    """Draws every weight from a normal with variance 1 / fan-in; there are no biases.

    Args:
        channels: number of channels.
        units: number of hidden units; the paper has a sixteenth of the channels.
        dtype: of the parameters, floating-point.

    Raises:
        ValueError: if a size is below 1, or dtype is not a floating-point dtype.
    """
    first, second = jax.random.split(rng)
    return ChannelGateParams(
        jax.random.normal(first, (units, channels), dtype) * channels**-0.5,
        jax.random.normal(second, (channels, units), dtype) * units**-0.5,
    )


@named_axes
@at_least_float32
def squeeze_excitation(
    params: ChannelGateParams, features: Float[Array, "y x c"]
) -> ChannelsOutput:
    """Multiplies each channel by a number that a network makes of the means of all channels.

        factors  = sigmoid(expand_weight max(reduce_weight mean, 0))
        features = factors ∘ features,   mean over the places of features

    The paper names the mean, the weights and the factors z, W_1, W_2 and s. Each weight may have a
    bias, as in the implementations of torchvision.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    places = features.shape[0] * features.shape[1]
    mean = named_value(features.sum((0, 1)) / max(places, 1), "encode/squeezed")
    factors = named_value(jax.nn.sigmoid(channel_network(params, mean)), "weight/factors")
    return ChannelsOutput(features * factors[None, None], factors)


def channel_network(params: ChannelGateParams, squeezed: Float[Array, " c"]) -> Float[Array, " c"]:
    """Returns the logits of the channels, of one number for each."""
    hidden = jnp.einsum("pc,c->p", params.reduce_weight, squeezed)
    hidden = hidden if params.reduce_bias is None else hidden + params.reduce_bias
    logits = jnp.einsum("cp,p->c", params.expand_weight, jnp.where(hidden > 0.0, hidden, 0.0))
    return logits if params.expand_bias is None else logits + params.expand_bias
