"""Layer normalization and root mean square normalization of each vector.

Sources: Ba, Kiros & Hinton (2016), arXiv:1607.06450, section 3; Zhang & Sennrich (2019),
arXiv:1910.07467.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jattn._axes import named_axes
from jattn._options import Count, NotNegative
from jattn._precision import at_least_float32


class LayerNormParams(NamedTuple):
    """A factor for each feature, and an optional bias that is added after it."""

    scale: Float[Array, " d"]
    bias: Float[Array, " d"] | None = None


class RMSNormParams(NamedTuple):
    """A factor for each feature."""

    scale: Float[Array, " d"]


@named_axes
def init_layer_norm(*, size: Count, bias: bool = True, dtype: DTypeLike = float) -> LayerNormParams:
    """Returns a scale of ones and a bias of zeros; nothing is drawn, so there is no rng.

    Args:
        size: number of features.
        bias: whether there is a bias.
        dtype: of the parameters, floating-point.

    Raises:
        ValueError: if size is negative or dtype is not a floating-point dtype.
    """
    return LayerNormParams(jnp.ones(size, dtype), jnp.zeros(size, dtype) if bias else None)


@named_axes
def init_rms_norm(*, size: Count, dtype: DTypeLike = float) -> RMSNormParams:
    """Returns a scale of ones; nothing is drawn, so there is no rng.

    Args:
        size: number of features.
        dtype: of the parameters, floating-point.

    Raises:
        ValueError: if size is negative or dtype is not a floating-point dtype.
    """
    return RMSNormParams(jnp.ones(size, dtype))


@named_axes
@at_least_float32
def layer_norm(
    params: LayerNormParams,
    inputs: Float[Array, "s d"] | Float[Array, " d"],
    *,
    epsilon: NotNegative = 1e-5,
) -> Float[Array, "s d"] | Float[Array, " d"]:
    """Gives the features of each vector mean zero and variance one, then scales and shifts them.

        outputs[s] = scale (inputs[s] - mean[s]) / √(variance[s] + epsilon) + bias

    The mean and the variance, which is the mean of the squared differences, are taken over the
    features of inputs[s]. The paper names scale and bias g and b, and the mean and the deviation
    μ and σ. It has no epsilon.

    Args:
        inputs: a sequence of vectors, or one.
        epsilon: keeps a vector of equal features finite. Weights belong to the epsilon that they
            were trained with, 1e-12 for BERT's.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or epsilon is negative or
            not finite.
    """
    features = max(inputs.shape[-1], 1)
    centred = inputs - inputs.sum(-1, keepdims=True) / features
    variance = (centred**2).sum(-1, keepdims=True) / features
    outputs = _scaled(params.scale, centred / jnp.sqrt(variance + epsilon))
    return outputs if params.bias is None else outputs + _as_row(params.bias, inputs)


@named_axes
@at_least_float32
def rms_norm(
    params: RMSNormParams,
    inputs: Float[Array, "s d"] | Float[Array, " d"],
    *,
    epsilon: NotNegative = 1e-6,
) -> Float[Array, "s d"] | Float[Array, " d"]:
    """Divides each vector by the root mean square of its features, then scales them.

        outputs[s] = scale inputs[s] / √(mean of inputs[s]² + epsilon)

    It is `layer_norm` without the mean and the bias. The paper names scale and the root g and
    RMS(a) (equation 4) and has no epsilon.

    Args:
        inputs: a sequence of vectors, or one.
        epsilon: keeps a vector of zeros finite. Weights belong to the epsilon that they were
            trained with, 1e-5 for Llama 2's and 1e-6 for T5's.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or epsilon is negative or
            not finite.
    """
    square = (inputs**2).sum(-1, keepdims=True) / max(inputs.shape[-1], 1)
    return _scaled(params.scale, inputs / jnp.sqrt(square + epsilon))


def _scaled(scale: Float[Array, " d"], normal: Float[Array, "*s d"]) -> Float[Array, "*s d"]:
    return _as_row(scale, normal) * normal


def _as_row(of_features: Float[Array, " d"], inputs: Float[Array, "*s d"]) -> Array:
    """Adds the axis of vectors where there are several: rank promotion may be off."""
    return of_features if inputs.ndim == 1 else of_features[None]
