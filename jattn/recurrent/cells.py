"""GRU cells that reset after the product or before it: Cho et al. (2014), arXiv:1406.1078."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn._axes import named_axes
from jattn._options import Count
from jattn._precision import at_least_float32, inner_dtype


class GRUParams(NamedTuple):
    """Weights of a GRU of `n` units, gates stacked in the order reset, update, candidate."""

    input_weight: Float[Array, "3 n i"]
    hidden_weight: Float[Array, "3 n n"]
    input_bias: Float[Array, "3 n"]
    hidden_bias: Float[Array, "3 n"]

    def zero_state(self) -> Float[Array, " n"]:
        """Returns the state before the first step."""
        return jnp.zeros_like(self.hidden_bias[0])


# A function of parameters, state and inputs that returns the next state.
Cell = Callable[[Any, Any, Any], Any]
# A function with the arguments of `init_gru`.
InitCell = Callable[..., Any]


@named_axes
def init_gru(
    rng: Key[Array, ""], *, input_size: Count, units: Count, dtype: DTypeLike = float
) -> GRUParams:
    """Draws input weights from a normal with variance 1 / input_size; biases start at zero.

    The hidden weight of each gate is a random orthogonal matrix. Weights in half precision are
    drawn in float32 and rounded once.

    Raises:
        ValueError: if a size is negative or `dtype` is not a floating-point dtype.
    """
    weights = recurrent_weights(rng, 3, input_size, units, dtype)
    return GRUParams(*weights, jnp.zeros((3, units), dtype), jnp.zeros((3, units), dtype))


def recurrent_weights(
    rng: Key[Array, ""], gates: int, input_size: int, units: int, dtype: DTypeLike
) -> tuple[Float[Array, "g n i"], Float[Array, "g n n"]]:
    """Draws the input weights and the hidden weights of a cell's gates."""
    input_rng, hidden_rng = jax.random.split(rng)
    inner = inner_dtype(dtype)  # JAX factorizes no matrix in half precision.
    input_weight = jax.random.normal(input_rng, (gates, units, input_size), inner)
    return (
        (input_weight * max(input_size, 1) ** -0.5).astype(dtype),
        jax.random.orthogonal(hidden_rng, units, (gates,), dtype=inner).astype(dtype),
    )


@named_axes
@at_least_float32
def gru_cell(
    params: GRUParams, hidden: Float[Array, " n"], inputs: Float[Array, " i"]
) -> Float[Array, " n"]:
    """Computes one step of a GRU whose reset gate acts after the product with the hidden state.

        reset     = sigmoid(input_weight[0] inputs + input_bias[0]
                            + hidden_weight[0] hidden + hidden_bias[0])
        update    = the same with [1]
        candidate = tanh(input_weight[2] inputs + input_bias[2]
                         + reset ∘ (hidden_weight[2] hidden + hidden_bias[2]))
        new       = (1 - update) ∘ candidate + update ∘ hidden

    cuDNN, PyTorch's GRU and Keras by default use this form, as does the first version of
    arXiv:1406.1078. Later versions and Bahdanau et al. reset before the product, as
    `reset_before_gru_cell` does.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    update, candidate = update_and_candidate(params, hidden, inputs)
    return (1.0 - update) * candidate + update * hidden


def update_and_candidate(
    params: GRUParams, hidden: Float[Array, " n"], inputs: Float[Array, " i"]
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Returns the update gate and the candidate of `gru_cell`."""
    projected = input_part(params, inputs)
    recurrent = jnp.einsum("m,gnm->gn", hidden, params.hidden_weight) + params.hidden_bias
    reset, update = jax.nn.sigmoid(projected[:2] + recurrent[:2])
    candidate = jnp.tanh(projected[2] + reset * recurrent[2])
    return update, candidate


@named_axes
@at_least_float32
def reset_before_gru_cell(
    params: GRUParams, hidden: Float[Array, " n"], inputs: Float[Array, " i"]
) -> Float[Array, " n"]:
    """Computes one step of a GRU whose reset gate acts on the hidden state before the product.

        candidate = tanh(input_weight[2] inputs + input_bias[2]
                         + hidden_weight[2] (reset ∘ hidden) + hidden_bias[2])

    and all else as in `gru_cell`. Cho et al. (2014) use this form from the third version on, and
    so do Bahdanau et al. (2015), arXiv:1409.0473, appendix A.1.1. Bahdanau's update gate z is 1
    minus this one, since it multiplies the candidate. Only the sum of the two biases matters.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    projected, (weight, bias) = (
        input_part(params, inputs),
        (params.hidden_weight, params.hidden_bias),
    )
    recurrent = jnp.einsum("m,gnm->gn", hidden, weight[:2]) + bias[:2]
    reset, update = jax.nn.sigmoid(projected[:2] + recurrent)
    product = jnp.einsum("m,nm->n", reset * hidden, weight[2])
    candidate = jnp.tanh(projected[2] + product + bias[2])
    return (1.0 - update) * candidate + update * hidden


def input_part(params: Any, inputs: Float[Array, " i"]) -> Float[Array, "g n"]:
    """Returns the part of the gates' arguments that depends on the inputs."""
    # With the vector first, `jax.vmap` transposes nothing.
    return jnp.einsum("i,gni->gn", inputs, params.input_weight) + params.input_bias
