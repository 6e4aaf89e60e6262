"""Gathers of arrays whose types name the mesh axes that they are divided over."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Int


def rows_at(array: Any, indices: Int[Array, "..."], **options: Any) -> Array:
    """Returns `array[indices]`, divided as `indices` are and as the features of `array` are.

    On a mesh with explicit axes, JAX refuses a gather from an array that all elements of a batch
    share, unless the sharding of the result is stated. `jax.vmap` adds the axes of the batch.

    Args:
        options: keyword arguments of `array.at[indices].get`.
    """
    array, indices = jnp.asarray(array), jnp.asarray(indices)
    if jax.sharding.get_abstract_mesh().explicit_axes:
        options["out_sharding"] = PartitionSpec(*_divisions(indices), *_divisions(array)[1:])
    return array.at[indices].get(**options)


def _divisions(array: Array) -> tuple[Any, ...]:
    """Returns the mesh axes of each axis, None where it is whole."""
    spec = tuple(jax.typeof(array).sharding.spec)
    return spec + (None,) * (array.ndim - len(spec))
