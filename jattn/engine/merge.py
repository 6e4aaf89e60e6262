"""Merges attention over two sets of keys."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jattn._options import check_array


class MergedAttention(NamedTuple):
    """Attention over both sets: the output, and the logarithm of the sum of exponentials."""

    output: Float[Array, "*b t h v"]
    lse: Float[Array, "*b t h"]


def merge_attention(
    first_output: Float[Array, "*b t h v"],
    first_lse: Float[Array, "*b t h"],
    second_output: Float[Array, "*b t h v"],
    second_lse: Float[Array, "*b t h"],
) -> MergedAttention:
    """Merges two results of `dot_product_attention(..., return_residual=True)`, of two key sets.

        lse = log(exp(first_lse) + exp(second_lse))
        output = exp(first_lse - lse) first_output + exp(second_lse - lse) second_output

    The operation is associative, so any number of sets can be merged. A set without keys has an
    lse of -inf and adds nothing, whatever its output; without keys in either set the output is 0
    and the lse -inf. Sinks are part of the denominator: give them to one set only, or they count
    twice.

    Args:
        first_output: [*b t h v].
        first_lse: [*b t h].
        second_output: [*b t h v].
        second_lse: [*b t h].

    Returns:
        The output in the dtype of the outputs, and the lse in at least float32.

    Raises:
        ValueError: if two arguments disagree about an axis.
    """
    _check(first_output, first_lse, second_output, second_lse)
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.result_type(first_output, second_output)
        inner = jnp.promote_types(jnp.result_type(dtype, first_lse, second_lse), jnp.float32)
    first, second = jnp.asarray(first_lse, inner), jnp.asarray(second_lse, inner)
    # A constant to derivatives: neither result depends on it.
    largest = jax.lax.stop_gradient(jnp.maximum(first, second))
    nothing = largest == -jnp.inf
    base = jnp.where(nothing, 0.0, largest)

    def exponential(lse: Float[Array, "..."]) -> Float[Array, "..."]:
        empty = lse == -jnp.inf
        return jnp.where(empty, 0.0, jnp.exp(jnp.where(empty, base, lse) - base))

    exponentials = exponential(first), exponential(second)
    total = jnp.where(nothing, 1.0, exponentials[0] + exponentials[1])

    def part(lse, exponential, output) -> Float[Array, "..."]:
        read = jnp.where((lse == -jnp.inf)[..., None], 0.0, jnp.asarray(output, inner))
        return (exponential / total)[..., None] * read

    output = part(first, exponentials[0], first_output)
    output = output + part(second, exponentials[1], second_output)
    lse = jnp.where(nothing, -jnp.inf, base + jnp.log(total))
    return MergedAttention(output.astype(dtype), lse)


def _check(first_output, first_lse, second_output, second_lse) -> None:
    shape = np.shape(first_output)
    check_array("merge_attention: first_output", first_output)
    for name, array, expected in (
        ("first_lse", first_lse, shape[:-1]),
        ("second_output", second_output, shape),
        ("second_lse", second_lse, shape[:-1]),
    ):
        check_array(f"merge_attention: {name}", array)
        if np.shape(array) != expected:
            raise ValueError(
                f"merge_attention: {name} has shape {np.shape(array)}, expected {expected}"
                " (from first_output)"
            )
