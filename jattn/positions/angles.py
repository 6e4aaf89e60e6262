"""Cosines and sines of positions times frequencies, as exact at position 1,000,000 as at 1."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import DTypeLike
from jaxtyping import Array, Float

# π times 2**256.
PI = 0x3_243F6A88_85A308D3_13198A2E_03707344_A4093822_299F31D0_082EFA98_EC4E6C89


def frequencies_of(features: int, base: float) -> np.ndarray:
    """Returns the angle between two positions for each pair of features: base ** (-2 i / k)."""
    return float(base) ** -(np.arange(0, features, 2) / max(features, 1))


def cosines_and_sines(
    positions: Any,
    frequencies: Float[Array, " f"] | np.ndarray,
    dtype: DTypeLike,
) -> tuple[Float[Array, "t f"], Float[Array, "t f"]]:
    """Returns cos(positions[t] frequencies[f]) and its sine, in float32 or float64.

    Positions are whole or fractional, [t] or [t f], of NumPy or JAX.

    A product in float32 has lost the angle long before position 1,000,000. So the angle of a whole
    position is counted in fractions of a turn, by integers of 32 bits, and only the remainder is
    rounded. Traced frequencies are multiplied in `dtype`.
    """
    if not isinstance(positions, jax.Array):
        positions = np.asarray(positions)  # type: ignore[assignment]
    positions = positions[:, None] if positions.ndim == 1 else positions
    if isinstance(frequencies, Tracer) or jnp.dtype(dtype) == jnp.float64:
        factors = jnp.asarray(frequencies, dtype)[None]
        angle = jnp.asarray(positions).astype(dtype) * factors
        return jnp.cos(angle), jnp.sin(angle)
    frequencies = np.asarray(frequencies, np.float64)
    whole, fraction = _whole_and_fraction(positions)
    phase = _phase(whole, frequencies)
    quarters = (phase + np.uint32(2**29)) >> np.uint32(30)
    remainder = jnp.asarray((phase - (quarters << np.uint32(30))).astype(np.int32))
    angle = remainder.astype(dtype) * jnp.asarray(2 * np.pi / 2**32, dtype)
    if fraction is not None:
        angle = angle + jnp.asarray(fraction).astype(dtype) * jnp.asarray(frequencies, dtype)[None]
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    odd = quarters % np.uint32(2) == 1
    cosine, sine = jnp.where(odd, sine, cosine), jnp.where(odd, cosine, sine)
    is_left, is_below = (quarters == 1) | (quarters == 2), quarters >= 2
    return jnp.where(is_left, -cosine, cosine), jnp.where(is_below, -sine, sine)


def _whole_and_fraction(positions: Any) -> tuple[Any, Any]:
    """Splits positions into integers and what is left, which has the derivative; None if whole."""
    if jnp.issubdtype(positions.dtype, jnp.integer):
        return positions, None
    wide = positions.dtype.itemsize > 4
    positions = positions if wide else positions.astype(np.float32)
    xp: Any = np if isinstance(positions, np.ndarray) else jnp
    floor = xp.floor(positions if xp is np else jax.lax.stop_gradient(positions))
    # NaN and infinity have no whole part. Their fraction is NaN, and so is the result.
    whole = xp.where(xp.isfinite(floor), floor, xp.zeros_like(floor))
    with np.errstate(invalid="ignore"):
        return whole.astype(np.int64 if wide else np.int32), positions - floor


def _phase(positions: Any, frequencies: np.ndarray) -> Any:
    """Returns positions times frequencies modulo one turn, in units of 2**-32 of a turn."""
    # Widened first, since the least number of a dtype has no absolute value in it.
    narrow = positions.dtype.itemsize < 4
    positions = positions.astype(np.int32) if narrow else positions
    wide = positions.dtype.itemsize > 4
    size = abs(positions).astype(np.uint64 if wide else np.uint32)
    first, second, third = _words_of_turns(frequencies)
    low = size.astype(np.uint32)
    phase = low * first + _upper(low, second)
    if wide:
        high = (size >> np.uint64(32)).astype(np.uint32)
        phase = phase + high * second + _upper(high, third)
    return (np if isinstance(phase, np.ndarray) else jnp).where(positions < 0, -phase, phase)


def _words_of_turns(frequencies: np.ndarray) -> np.ndarray:
    """Returns 96 binary digits of frequency / (2 π) modulo 1, in three rows of 32, exactly."""
    words = np.empty((3, 1, len(frequencies)), np.uint32)
    for column, frequency in enumerate(frequencies):
        numerator, denominator = float(frequency).as_integer_ratio()
        digits = (numerator << (96 + 255)) // (denominator * PI)
        words[:, 0, column] = [digits >> shift & 0xFFFFFFFF for shift in (64, 32, 0)]
    return words


def _upper(left: Any, right: np.ndarray) -> Any:
    """Returns the upper 32 bits of the product of two integers of 32 bits, or one less."""
    half, mask = np.uint32(16), np.uint32(0xFFFF)
    left_upper, left_lower = left >> half, left & mask
    right_upper, right_lower = right >> half, right & mask
    middle = (left_upper * right_lower >> half) + (left_lower * right_upper >> half)
    return left_upper * right_upper + middle
