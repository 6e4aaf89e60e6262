"""The gated feed-forward network of each position: Shazeer (2020), arXiv:2002.05202, section 2."""

from typing import NamedTuple

import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn._axes import named_axes
from jattn._options import Count
from jattn._precision import at_least_float32
from jattn.layers import AffineParams, affine
from jattn.transformer.feed_forward import Activation


class GatedFeedForwardParams(NamedTuple):
    """Weights from `d` features to `f` gates, to `f` hidden units, and back."""

    gate_weight: Float[Array, "f d"]
    hidden_weight: Float[Array, "f d"]
    output_weight: Float[Array, "d f"]


@named_axes
def init_gated_feed_forward(
    rng: Key[Array, ""], *, size: Count, hidden_size: Count, dtype: DTypeLike = float
) -> GatedFeedForwardParams:
    """Draws every weight from a normal with variance 1 / fan-in.

    Args:
        size: number of features d.
        hidden_size: number of hidden units f. With two thirds of the units of `feed_forward` there
            are as many parameters.
        dtype: of the parameters, floating-point.

    Raises:
        ValueError: if a size is negative or dtype is not a floating-point dtype.
    """
    shapes = ((hidden_size, size), (hidden_size, size), (size, hidden_size))
    weights = (
        jax.random.normal(key, shape, dtype) * max(shape[1], 1) ** -0.5
        for key, shape in zip(jax.random.split(rng, 3), shapes, strict=True)
    )
    return GatedFeedForwardParams(*weights)


@named_axes
@at_least_float32
def gated_feed_forward(
    params: GatedFeedForwardParams,
    inputs: Float[Array, "s d"],
    *,
    activation: Activation = jax.nn.silu,
) -> Float[Array, "s d"]:
    """Applies a network whose hidden units are multiplied by gates, to each position separately.

        gates[s]   = activation(gate_weight inputs[s])
        outputs[s] = output_weight (gates[s] ∘ hidden_weight inputs[s])

    This is SwiGLU (equation 6 of the paper), which Llama has. The paper names the weights W, V and
    W_2.

    Args:
        inputs: [s d], features of each position.
        activation: a function of each entry: the swish x sigmoid(x) by default. `jax.nn.sigmoid`
            makes it GLU, `jax.nn.relu` ReGLU and `jax.nn.gelu` GEGLU.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    gates = activation(affine(AffineParams(params.gate_weight), inputs))
    hidden = gates * affine(AffineParams(params.hidden_weight), inputs)
    return affine(AffineParams(params.output_weight), hidden)
