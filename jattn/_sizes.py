"""Sizes of arrays, some of which `jax.export` may leave open as symbolic dimensions."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax.errors import InconclusiveDimensionOperation
from jax.export import is_symbolic_dim


def are_known(*sizes: Any) -> bool:
    """Returns whether no size is symbolic, so that NumPy and Python's loops can use all of them."""
    return not any(map(is_symbolic_dim, sizes))


def as_number(size: Any) -> Any:
    """Returns a symbolic size, such as s - t, as an integer array; other values as they are."""
    return size if are_known(size) else jnp.asarray(size)


def is_certain(holds: Callable[[], Any]) -> bool:
    """Returns whether a comparison holds for all values of its symbolic sizes.

    JAX raises an error for a comparison whose result depends on these values.
    """
    try:
        return bool(holds())
    except InconclusiveDimensionOperation:
        return False
