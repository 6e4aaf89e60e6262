"""Padded steps: nothing that they hold is read."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jattn._options import check_length


def without_padding(function: str, length: int | Int[Array, ""] | None, *arrays: Any) -> Any:
    """Returns the arrays, or trees of them, with zeros from step `length` on.

    Raises:
        ValueError: if length is out of range, in the name of `function`.
    """
    steps = jax.tree.leaves(arrays)[0].shape[0]
    check_length(f"{function}: length", length, steps, "t")
    if length is None:
        return arrays
    valid = jnp.arange(steps) < length
    cut = lambda rows: jnp.where(valid.reshape(steps, *[1] * (rows.ndim - 1)), rows, 0.0)
    return jax.tree.map(cut, arrays)
