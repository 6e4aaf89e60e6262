"""Arrays over pairs of queries and keys: which shapes fit, and how they get four axes."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jattn.masks.algebra import Mask


def check_pairs(function: str, query: Any, key: Any, *, bias: Any, mask: Any) -> None:
    """Raises ValueError unless heads divide, and `bias` and `mask` fit the queries and keys."""
    shape, other = np.shape(query), np.shape(key)
    batch = shape[:-3]
    if len(shape) < 3 or len(other) != len(shape) or other[:-3] != batch or other[-1] != shape[-1]:
        raise ValueError(
            f"{function}: key has shape {other}, expected (*b, s, g, k) with query (*b, t, h, k) of"
            f" shape {shape}"
        )
    if other[-2] == 0 or shape[-2] % other[-2]:
        raise ValueError(
            f"{function}: {shape[-2]} heads do not divide among {other[-2]} key-value heads"
        )
    wanted = (*batch, shape[-2], shape[-3], other[-3])
    for name, array in (("bias", bias), ("mask", mask)):
        if isinstance(array, Mask):
            pairs = zip(array.sizes, wanted[-2:], strict=True)
            fits = all(made in (None, size) for made, size in pairs)
            given = array.sizes
        else:
            given = np.shape(array)
            pairs = zip(given[::-1], wanted[::-1], strict=False)
            fits = len(given) <= len(wanted) and all(one in (1, size) for one, size in pairs)
        if array is not None and not fits:
            raise ValueError(
                f"{function}: {name} has shape {given}, expected one that broadcasts to {wanted}"
            )
        dtype = str(getattr(array, "dtype", "bool"))
        if name == "mask" and dtype != "bool":
            raise ValueError(
                f"{function}: mask has dtype {dtype}, expected bool; pass an additive mask as bias"
            )


def four_axes(array: Any, batch: tuple[int, ...]) -> Array | None:
    """Any leading axes as one: (b, h, t, s), each of which may be 1."""
    if array is None:
        return None
    array = jnp.asarray(array)
    array = array.reshape((1,) * (3 - array.ndim) + array.shape)
    if array.ndim == 3 or len(batch) == 1:
        return array.reshape((1,) * (4 - array.ndim) + array.shape)
    return jnp.broadcast_to(array, (*batch, *array.shape[-3:])).reshape(-1, *array.shape[-3:])
