"""Cosines and sines of positions times frequencies, as exact at position 1,000,000 as at 1."""

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jattn._options import check_known


def check_base(function: str, base: float) -> None:
    """Raises ValueError unless the base is known and positive."""
    check_known(f"{function}: base", base)
    if not 0.0 < base < np.inf:
        raise ValueError(f"{function}: base is {base}, expected a finite number above 0")


def frequencies(features: int, base: float) -> np.ndarray:
    """The angle between two positions, of each pair of features: base ** (-2 pair / features)."""
    return float(base) ** -(np.arange(0, features, 2) / max(features, 1))


def cosines_and_sines(
    positions: Int[Array, " t"], frequency: np.ndarray, dtype: DTypeLike
) -> tuple[Float[Array, "t f"], Float[Array, "t f"]]:
    """cos(positions[t] frequency[f]) and its sine, in float32 or float64.

    A product in float32 has lost the angle long before position 1,000,000: so the angle is counted
    there in parts of a turn, by whole numbers of 32 bits, and only what is left of it is rounded.
    """
    positions = jnp.asarray(positions)
    if jnp.dtype(dtype) == jnp.float64:
        angles = positions.astype(dtype)[:, None] * jnp.asarray(frequency, dtype)[None]
        return jnp.cos(angles), jnp.sin(angles)
    phase = _phase(jnp.abs(positions).astype(jnp.uint32)[:, None], frequency / (2 * np.pi))
    quarters = (phase + np.uint32(2**29)) >> np.uint32(30)
    rest = (phase - (quarters << np.uint32(30))).astype(jnp.int32)
    angle = rest.astype(dtype) * jnp.asarray(2 * np.pi / 2**32, dtype)
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    odd = quarters % np.uint32(2) == 1
    cosine, sine = jnp.where(odd, sine, cosine), jnp.where(odd, cosine, sine)
    is_left, is_below = (quarters == 1) | (quarters == 2), quarters >= 2
    is_below = is_below ^ (positions < 0)[:, None]
    return jnp.where(is_left, -cosine, cosine), jnp.where(is_below, -sine, sine)


def _phase(positions: Array, turns: np.ndarray) -> Array:
    """The part of a turn after whole ones, in 2**-32 of a turn: (positions turns) mod 1."""
    digits = np.floor(turns % 1.0 * 2.0**32)
    high = digits.astype(np.uint32)[None]
    low = ((turns % 1.0 * 2.0**32 - digits) * 2.0**32).astype(np.uint32)[None]
    # What positions * low carries into the upper 32 bits, in halves of 16 bits.
    half = np.uint32(16)
    upper, lower = positions >> half, positions & np.uint32(0xFFFF)
    low_upper, low_lower = low >> half, low & np.uint32(0xFFFF)
    carried = upper * low_upper + (upper * low_lower >> half) + (lower * low_upper >> half)
    return positions * high + carried
