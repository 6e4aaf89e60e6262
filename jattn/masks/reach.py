"""Numbers of masks, such that no sum of them and of positions overflows an int32."""

from typing import Any

import jax.numpy as jnp
import numpy as np

FAR = 2**30  # Beyond every sequence, and still an int32 when another position is added to it.


def within_reach(number: Any) -> Any:
    """The same, but one that no sequence reaches as one that no sum of positions overflows.

    An array of JAX's is left to `numbers_like`, since it may be traced.
    """
    if isinstance(number, int | np.integer):
        return max(min(number, FAR), -FAR)
    return _clipped(number) if isinstance(number, np.ndarray) else number


def numbers_like(positions: Any, operands: tuple[Any, ...]) -> tuple[Any, ...]:
    """The operands; integers that are arrays within reach, in the dtype of the positions."""
    if not hasattr(positions, "dtype"):
        return operands
    integer = lambda x: np.ndim(x) == 0 and jnp.issubdtype(getattr(x, "dtype", bool), jnp.integer)
    return tuple(_clipped(x).astype(positions.dtype) if integer(x) else x for x in operands)


def _clipped(number: Any) -> Any:
    if not jnp.issubdtype(number.dtype, jnp.integer):
        return number
    size = jnp.iinfo(number.dtype)  # NumPy refuses bounds that the dtype does not hold.
    return number.clip(max(int(size.min), -FAR), min(int(size.max), FAR))
