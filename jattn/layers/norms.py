"""Layer normalization: Ba, Kiros & Hinton (2016), arXiv:1607.06450, section 3."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jattn._axes import named_axes
from jattn._options import Count, NotNegative
from jattn._precision import at_least_float32


class LayerNormParams(NamedTuple):
    """A factor for each feature, and what is added after it, or nothing."""

    scale: Float[Array, " d"]
    bias: Float[Array, " d"] | None = None


@named_axes
def init_layer_norm(*, size: Count, bias: bool = True, dtype: DTypeLike = float) -> LayerNormParams:
    """Scale one and bias zero: nothing is drawn, so there is no rng."""
    return LayerNormParams(jnp.ones(size, dtype), jnp.zeros(size, dtype) if bias else None)


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

    where the mean and the variance, the mean of the squared differences, are those of inputs[s].
    The paper names scale and bias g and b, the mean and the deviation μ and σ, and has no epsilon.

    Args:
        epsilon: keeps a vector of equal features finite. Weights belong to the epsilon that they
            were trained with, 1e-12 for BERT's.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    features = max(inputs.shape[-1], 1)
    centred = inputs - inputs.sum(-1, keepdims=True) / features
    variance = (centred**2).sum(-1, keepdims=True) / features
    normal = centred / jnp.sqrt(variance + epsilon)
    of_each = lambda row: row if inputs.ndim == 1 else row[None]
    outputs = of_each(params.scale) * normal
    return outputs if params.bias is None else outputs + of_each(params.bias)
