"""Parameters and state of the simple recurrent unit of Lei et al. (2018), arXiv:1709.02755."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn._axes import named_axes
from jattn._options import Count


class SRUState(NamedTuple):
    """The output of a step, and the state that the next step reads."""

    hidden: Float[Array, " n"]
    cell: Float[Array, " n"]


class SRUParams(NamedTuple):
    """Weights of `n` units, stacked in the order candidate, forget, reset.

    `state_weight` and `bias` are of the gates alone. Without `state_weight` gates read the input
    alone, as in the paper's first version. Without `skip_weight` the highway is the input itself.
    """

    input_weight: Float[Array, "3 n i"]
    bias: Float[Array, "2 n"]
    state_weight: Float[Array, "2 n"] | None = None
    skip_weight: Float[Array, "n i"] | None = None

    def zero_state(self) -> SRUState:
        """Returns the state before the first step."""
        return SRUState(jnp.zeros_like(self.bias[0]), jnp.zeros_like(self.bias[0]))


@named_axes
def init_sru(
    rng: Key[Array, ""], *, input_size: Count, units: Count, dtype: DTypeLike = float
) -> SRUParams:
    """Draws weights with variance 1 / input_size, state weights with variance 1; biases are zero.

    There is a skip weight where the sizes of inputs and units differ.

    Raises:
        ValueError: if a size is negative or `dtype` is not a floating-point dtype.
    """
    shapes = ((3, units, input_size), (2, units), (units, input_size))
    parts = zip(jax.random.split(rng, 3), shapes, strict=True)
    weight, state, skip = (jax.random.normal(part, shape, dtype) for part, shape in parts)
    factor = max(input_size, 1) ** -0.5
    skip = None if input_size == units else skip * factor
    return SRUParams(weight * factor, jnp.zeros((2, units), dtype), state, skip)
