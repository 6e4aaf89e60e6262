"""Sinusoids of the position: Vaswani et al. (2017), arXiv:1706.03762, section 3.5."""

import jax.numpy as jnp
from jax.dtypes import canonicalize_dtype
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jattn._axes import named_axes
from jattn._options import Count, Length, Positive, check_known
from jattn._precision import inner_dtype
from jattn.positions.angles import cosines_and_sines, frequencies_of
from jattn.positions.offsets import Offset, check_offset, positions_from


@named_axes
def sinusoidal_positions(
    t: Length,
    d: Count,
    *,
    offset: Offset = 0,
    base: Positive = 10000.0,
    dtype: DTypeLike = float,
) -> Float[Array, "t d"]:
    """Returns a vector of `d` sinusoids for each of `t` positions, to be added to embedded tokens.

        outputs[t, 2 i]     = sin((t + offset) base ** (-2 i / d))
        outputs[t, 2 i + 1] = cos((t + offset) base ** (-2 i / d))

    The paper names them PE(pos, 2i) and PE(pos, 2i+1). It multiplies the embeddings that they are
    added to by √d.

        >>> sinusoidal_positions(2, 4, dtype="float16").round(2)
        Array([[0.  , 1.  , 0.  , 1.  ],
               [0.84, 0.54, 0.01, 1.  ]], dtype=float16)

    Args:
        offset: the position of the first vector; a decoder's step passes its own and t = 1.
        base: sets the wavelengths, which grow from 2 π to 2 π base.
        dtype: of the result; angles are computed in at least float32.

    Raises:
        ValueError: if t or d is negative, or base is not a finite number above 0.
    """
    cosines, sines = _cosines_and_sines("sinusoidal_positions", t, d, offset, base, dtype)
    pairs = jnp.stack([sines, cosines], axis=-1).reshape(t, 2 * sines.shape[1])
    return pairs[:, :d].astype(canonicalize_dtype(dtype))


@named_axes
def half_split_sinusoidal_positions(
    t: Length,
    d: Count,
    *,
    offset: Offset = 0,
    base: Positive = 10000.0,
    dtype: DTypeLike = float,
) -> Float[Array, "t d"]:
    """Returns the vectors of `sinusoidal_positions` with all sines first and then all cosines.

    A model that learns its weights with one order needs that order. Transformer-XL has this one.
    Tensor2Tensor has it with exponents i / (d / 2 - 1): its base 10000 is a
    `base=10000 ** (d / (d - 2))` here.

    Args:
        offset: as for `sinusoidal_positions`.
        base: as for `sinusoidal_positions`.
        dtype: as for `sinusoidal_positions`.

    Raises:
        ValueError: as `sinusoidal_positions` does.
    """
    function = "half_split_sinusoidal_positions"
    cosines, sines = _cosines_and_sines(function, t, d, offset, base, dtype)
    return jnp.concatenate([sines, cosines[:, : d // 2]], axis=-1).astype(canonicalize_dtype(dtype))


def _cosines_and_sines(
    function: str, t: int, d: int, offset: Offset, base: float, dtype: DTypeLike
) -> tuple[Array, Array]:
    check_known(f"{function}: base", base)
    check_offset(function, offset)
    inner = inner_dtype(canonicalize_dtype(dtype))
    return cosines_and_sines(positions_from(offset, t), frequencies_of(d, base), inner)
