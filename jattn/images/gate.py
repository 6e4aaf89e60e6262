"""Attention gates: Oktay et al. (2018), arXiv:1804.03999."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn._axes import named_axes
from jattn._naming import named_value
from jattn._options import Size
from jattn._precision import at_least_float32


class AttentionGateParams(NamedTuple):
    """Maps of features and of the gating signal to `p` units, and the weights of these."""

    feature_weight: Float[Array, "p c"]
    signal_weight: Float[Array, "p d"]
    bias: Float[Array, " p"]
    score_weight: Float[Array, " p"]
    score_bias: Float[Array, ""]


class AttentionGateOutput(NamedTuple):
    """Features after the gate, and the factor of each place."""

    features: Float[Array, "y x c"]
    places: Float[Array, "y x"]


@named_axes
def init_attention_gate(
    rng: Key[Array, ""],
    *,
    channels: Size,
    signal_channels: Size,
    units: Size,
    dtype: DTypeLike = float,
) -> AttentionGateParams:
    """Draws weights from a normal with variance 1 / fan-in; biases start at zero.

    Raises:
        ValueError: if a size is below 1, or dtype is not a floating-point dtype.
    """
    shapes = ((units, channels), (units, signal_channels), (units,))
    parts = zip(jax.random.split(rng, 3), shapes, strict=True)
    features, signal, score = (
        jax.random.normal(key, shape, dtype) * shape[-1] ** -0.5 for key, shape in parts
    )
    zero = jnp.zeros((), dtype)
    return AttentionGateParams(features, signal, jnp.zeros(units, dtype), score, zero)


@named_axes
@at_least_float32
def attention_gate(
    params: AttentionGateParams, features: Float[Array, "y x c"], signal: Float[Array, "y x d"]
) -> AttentionGateOutput:
    """Multiplies each place of an image by a number that a coarser image's features decide.

        hidden   = max(feature_weight features[y, x] + signal_weight signal[y, x] + bias, 0)
        places   = sigmoid(score_weight · hidden + score_bias)
        features = places ∘ features

    It is the scoring network of `additive_attention` with a rectifier, and a sigmoid of each place
    in place of a softmax over all. The paper names features, signal, weights and places x, g,
    W_x, W_g, ψ and α. It computes the factors on the grid of the coarser signal and resamples
    them: resample the signal to the grid of the features first. Implementations differ in the
    norms over a batch that they add, before the rectifier or after the gate.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    of_features = jnp.einsum("pc,yxc->yxp", params.feature_weight, features)
    of_signal = jnp.einsum("pd,yxd->yxp", params.signal_weight, signal)
    hidden = named_value(of_features + of_signal + params.bias[None, None], "encode/hidden")
    rectified = jnp.where(hidden > 0.0, hidden, 0.0)
    scores = jnp.einsum("p,yxp->yx", params.score_weight, rectified) + params.score_bias
    places = named_value(jax.nn.sigmoid(scores), "weight/places")
    return AttentionGateOutput(features * places[:, :, None], places)
