"""The feed-forward network of each position: Vaswani et al. (2017), arXiv:1706.03762, eq. 2."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn._axes import named_axes
from jattn._options import Count
from jattn._precision import at_least_float32
from jattn.layers import AffineParams, affine

Activation = Callable[[Float[Array, "..."]], Float[Array, "..."]]


class FeedForwardParams(NamedTuple):
    """Weights from `d` features to `f` hidden units and back."""

    hidden_weight: Float[Array, "f d"]
    output_weight: Float[Array, "d f"]
    hidden_bias: Float[Array, " f"] | None = None
    output_bias: Float[Array, " d"] | None = None


@named_axes
def init_feed_forward(
    rng: Key[Array, ""],
    *,
    size: Count,
    hidden_size: Count,
    bias: bool = True,
    dtype: DTypeLike = float,
) -> FeedForwardParams:
    """Draws both weights from a normal with variance 1 / fan-in; biases start at zero.

    Args:
        size: number of features d.
        hidden_size: number of hidden units f.
        bias: whether there are biases.
        dtype: of the parameters, floating-point.

    Raises:
        ValueError: if a size is negative or dtype is not a floating-point dtype.
    """
    hidden_rng, output_rng = jax.random.split(rng)
    hidden = jax.random.normal(hidden_rng, (hidden_size, size), dtype) * max(size, 1) ** -0.5
    output = jax.random.normal(output_rng, (size, hidden_size), dtype)
    output = output * max(hidden_size, 1) ** -0.5
    biases = [jnp.zeros(width, dtype) if bias else None for width in (hidden_size, size)]
    return FeedForwardParams(hidden, output, *biases)


@named_axes
@at_least_float32
def feed_forward(
    params: FeedForwardParams,
    inputs: Float[Array, "s d"],
    *,
    activation: Activation = jax.nn.relu,
) -> Float[Array, "s d"]:
    """Applies a network with one hidden layer to each position separately.

        hidden[s]  = activation(hidden_weight inputs[s] + hidden_bias)
        outputs[s] = output_weight hidden[s] + output_bias

    The paper names the weights W_1 and W_2.

    Args:
        inputs: [s d], features of each position.
        activation: a function of each entry. BERT's is
            `functools.partial(jax.nn.gelu, approximate=False)` (JAX's default is the tanh
            approximation).

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    hidden = activation(affine(AffineParams(params.hidden_weight, params.hidden_bias), inputs))
    return affine(AffineParams(params.output_weight, params.output_bias), hidden)
