"""Shardings in the types of arrays, which meshes with explicit axes have."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Int


def rows_at(array: Any, indices: Int[Array, "..."], **options: Any) -> Array:
    """Returns `array[indices]`, sharded as `indices` are, and its features as those of `array`.

    JAX refuses a gather from an array that all elements of a sharded batch share, unless the
    sharding of the result is stated. `jax.vmap` adds the axes of the batch to it.

    Args:
        options: keyword arguments of `array.at[indices].get`.
    """
    array, indices = jnp.asarray(array), jnp.asarray(indices)
    if jax.sharding.get_abstract_mesh().explicit_axes:
        options["out_sharding"] = PartitionSpec(*_spec(indices), *_spec(array)[1:])
    return array.at[indices].get(**options)


def check_whole(argument: str, array: Any, axis: int, letter: str) -> None:
    """Raises ValueError if an axis that is read in order, or summed over, is sharded by its type.

    Args:
        argument: the function and its argument, for the message.
        axis: the place of the axis.
        letter: the name of the axis in annotations.
    """
    mesh_axis = _spec(array)[axis] if isinstance(array, jax.Array) else None
    if mesh_axis is not None:
        raise ValueError(
            f"{argument} has axis {letter} sharded over mesh axis {mesh_axis}, expected a whole"
            " axis: shard the batch, or call jax.sharding.reshard"
        )


def _spec(array: Array) -> tuple[Any, ...]:
    """Returns the mesh axes of each axis; None where the type names none."""
    spec = tuple(jax.typeof(array).sharding.spec)
    return spec + (None,) * (array.ndim - len(spec))
