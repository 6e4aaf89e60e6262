"""A GRU's parameters in the shapes of other libraries: jattn stacks reset, update, candidate."""

import jax
import jax.numpy as jnp


def side_by_side(weight) -> jax.Array:
    """Three matrices `n i` as one of `i 3n`."""
    return jnp.concatenate(list(weight)).T


def candidate_apart(params) -> tuple[jax.Array, jax.Array]:
    """Both biases of reset and update as one, and the candidate's hidden bias on its own."""
    both = jnp.asarray(params.input_bias) + params.hidden_bias
    return both.at[2].set(params.input_bias[2]), params.hidden_bias[2]


def update_first(params):
    """The order of Keras and ONNX: update, reset, candidate."""
    return type(params)(*(array[jnp.array([1, 0, 2])] for array in params))
