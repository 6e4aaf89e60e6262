"""Integers of any dtype as the position of the first row."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Int

from jattn._sizes import as_number, is_certain

Offset = Int[Array, ""] | int


def check_offset(function: str, offset: Offset) -> None:
    """Raises ValueError if the offset is known and has more than 64 bits."""
    offset = as_number(offset)
    if not isinstance(offset, Tracer) and not -(2**63) <= int(offset) < 2**64:
        raise ValueError(f"{function}: offset is {offset}, expected an integer of 64 bits")


def positions_from(offset: Offset, t: int) -> Any:
    """Returns the positions offset, offset + 1, ... in integers that hold the offset."""
    offset = as_number(offset)
    if isinstance(offset, Tracer):
        kind = offset.dtype if offset.dtype.itemsize >= 4 else jnp.int32
        return offset.astype(kind) + jnp.arange(t, dtype=kind)
    first = int(offset)
    if first >= -(2**31) and not is_certain(lambda: first + t > 2**31):
        return jnp.arange(t, dtype=jnp.int32) + jnp.asarray(first, jnp.int32)
    kind = np.int64 if first + t <= 2**63 else np.uint64
    return np.arange(t).astype(kind) + np.asarray(first, kind)
