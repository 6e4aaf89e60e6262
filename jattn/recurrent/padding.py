"""Steps of a sequence that are not valid: padding after it, before it or inside of it."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jattn._options import check_length
from jattn._sharding import check_whole


def check_steps(
    function: str, length: Any, valid: Any, rows: str, array: Any, axis: str = "s"
) -> None:
    """Raises ValueError for a length out of range, or if both `length` and `valid` are given.

    Args:
        rows: the name of the argument that has a row for each step, which may not be sharded.
        array: its value.
        axis: the letter of the steps.
    """
    check_length(f"{function}: length", length, array.shape[0], axis)
    check_whole(f"{function}: {rows}", array, 0, axis)
    check_whole(f"{function}: valid", valid, 0, axis)
    if length is not None and valid is not None:
        raise ValueError(f"{function}: valid is given beside length, expected one of them")


def valid_steps(
    steps: int, length: int | Int[Array, ""] | None, valid: Bool[Array, " s"] | None
) -> Bool[Array, " s"] | None:
    """Returns which of the steps are valid; None if all are."""
    return valid if length is None else jnp.arange(steps) < jnp.asarray(length).astype(int)


def zero_padding(
    array: Float[Array, "s *n"],
    length: int | Int[Array, ""] | None,
    valid: Bool[Array, " s"] | None = None,
) -> tuple[Float[Array, "s *n"], Bool[Array, " s"] | None]:
    """Returns the array, zero at steps that are not valid, and the valid steps; None if all are."""
    valid = valid_steps(array.shape[0], length, valid)
    if valid is None:
        return array, None
    return jnp.where(valid.reshape(-1, *(1,) * (array.ndim - 1)), array, 0.0), valid
