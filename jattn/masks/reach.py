"""Limits on the numbers of masks, so that sums with positions do not overflow an int32."""

from typing import Any

import jax.numpy as jnp
import numpy as np

FAR = 2**30  # Beyond every sequence, and still an int32 when another position is added to it.


def within_reach(number: Any) -> Any:
    """Returns the number clipped to ±`FAR`, which no sequence reaches.

    An array of JAX is left to `numbers_like`, since it may be traced.
    """
    if isinstance(number, int | np.integer):
        return max(min(number, FAR), -FAR)
    return _clipped(number) if isinstance(number, np.ndarray) else number


def numbers_like(positions: Any, operands: tuple[Any, ...]) -> tuple[Any, ...]:
    """Returns the operands, scalar integer arrays clipped and in the dtype of `positions`."""
    if not hasattr(positions, "dtype"):
        return operands
    integer = lambda x: np.ndim(x) == 0 and jnp.issubdtype(getattr(x, "dtype", bool), jnp.integer)
    return tuple(_clipped(x).astype(positions.dtype) if integer(x) else x for x in operands)


def _clipped(number: Any) -> Any:
    if not jnp.issubdtype(number.dtype, jnp.integer):
        return number
    limits = jnp.iinfo(number.dtype)  # NumPy refuses bounds that the dtype does not hold.
    return number.clip(max(int(limits.min), -FAR), min(int(limits.max), FAR))
