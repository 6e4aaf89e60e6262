"""Non-local blocks: Wang et al. (2018), arXiv:1711.07971."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn._axes import named_axes
from jattn._options import Size
from jattn._precision import at_least_float32
from jattn.attention.dot import dot_attention
from jattn.normalizers import Normalizer, softmax


class NonLocalParams(NamedTuple):
    """Maps of a place to a query, a key and a value of `p` features, and of the result back."""

    query_weight: Float[Array, "p c"]
    key_weight: Float[Array, "p c"]
    value_weight: Float[Array, "p c"]
    output_weight: Float[Array, "c p"]


class NonLocalOutput(NamedTuple):
    """Features with what each place has read, and the weights [places places], row by row."""

    features: Float[Array, "y x c"]
    weights: Float[Array, "s s"]


@named_axes
def init_non_local(
    rng: Key[Array, ""], *, channels: Size, units: Size, dtype: DTypeLike = float
) -> NonLocalParams:
    """Draws the maps of a place from a normal with variance 1 / fan-in; the output starts at zero.

    So the block starts as the identity, as the paper's does. It has half as many units as channels.

    Raises:
        ValueError: if a size is below 1, or dtype is not a floating-point dtype.
    """
    weights = jax.random.normal(rng, (3, units, channels), dtype) * channels**-0.5
    return NonLocalParams(*weights, output_weight=jnp.zeros((channels, units), dtype))


@named_axes
@at_least_float32
def non_local_block(
    params: NonLocalParams, features: Float[Array, "y x c"], *, normalizer: Normalizer = softmax
) -> NonLocalOutput:
    """Adds to each place of an image what it reads from all places, by dot attention.

        weights  = softmax of (query_weight features[i]) · (key_weight features[j]) over places j
        features = features + output_weight Σ_j weights[i, j] (value_weight features[j])

    This is the embedded Gaussian version. The paper names the maps θ, φ, g and W_z and has no
    scale. Its dot-product version has scores over the number of places as weights. Memory is
    quadratic in the number of places.

    Args:
        normalizer: maps each row of scores to a row of weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    places = features.reshape(features.shape[0] * features.shape[1], features.shape[2])
    maps = (params.query_weight, params.key_weight, params.value_weight)
    mapped = (jnp.einsum("pc,sc->sp", weight, places) for weight in maps)
    read, weights = dot_attention(*mapped, normalizer=normalizer)
    added = jnp.einsum("cp,sp->sc", params.output_weight, read)
    return NonLocalOutput(features + added.reshape(features.shape), weights)
