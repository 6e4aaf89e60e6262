"""Normal forms of the arguments of a call, before they are checked."""

import numbers
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jattn._options import floating
from jattn._sizes import as_number
from jattn.biases.algebra import Bias
from jattn.masks.algebra import Mask
from jattn.masks.reach import FAR


def as_array(name: str, given: Any) -> Any:
    """Returns `given` as an array of JAX's, or as it is where it tells a shape alone."""
    if isinstance(given, jax.Array | jax.ShapeDtypeStruct):
        return given
    if isinstance(given, np.ma.MaskedArray):
        raise ValueError(f"{name} is a masked array, expected an array; masks are passed as mask")
    try:
        if given is not None:
            return jnp.asarray(given)
    except (TypeError, ValueError):
        pass
    dtype = getattr(given, "dtype", None)
    if dtype is not None:
        raise ValueError(f"{name} has dtype {dtype}, expected {floating(dtype)}")
    raise ValueError(f"{name} is a {type(given).__name__}, expected an array")


def as_known(given: Any) -> Any:
    """Returns a list, a number that is no integer, or another library's array as one of NumPy's."""
    if isinstance(given, list | tuple | bool | float):
        traced = any(isinstance(x, Tracer) for x in jax.tree.leaves(given))
        return jnp.asarray(given) if traced else np.asarray(given)
    if isinstance(given, jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct | Mask | Bias):
        return given
    if hasattr(given, "dtype"):
        try:
            return np.asarray(given)
        except (TypeError, ValueError, RuntimeError):
            return given
    return as_number(given)


def without_batch(given: Any, axes: int) -> Any:
    """`given` less the batch axis of size 1 that `jax.nn` takes where queries have none.

    `axes` is the number of axes beside it.
    """
    shape = np.shape(given)
    return given.reshape(shape[1:]) if len(shape) == axes + 1 and shape[0] == 1 else given


def sides(size: Any) -> tuple[Any, Any] | None:
    """Both sides of a window, None for an open one.

    Raises:
        ValueError: a side is negative or no integer, or there are not two.
    """
    if size is None:
        return None
    several = isinstance(size, tuple | list) or getattr(size, "ndim", 0) == 1
    pair = tuple(size) if several else (size, size)
    if len(pair) != 2:
        raise ValueError(f"local_window_size is {size}, expected one side or two")
    return _side(pair[0], size), _side(pair[1], size)


def _side(side: Any, size: Any) -> Any:
    if isinstance(side, Tracer) and side.ndim == 0 and jnp.issubdtype(side.dtype, jnp.integer):
        return side
    if side is None:
        return None
    known = not isinstance(side, Tracer) and np.ndim(side) == 0
    if known and isinstance(np.asarray(side)[()], numbers.Integral) and side >= 0:
        return int(side) if int(side) < FAR else None  # A uint8 holds no `FAR` to compare with.
    raise ValueError(f"local_window_size is {size}, expected integers of at least 0, or None")
