"""Sinusoids of the position: Vaswani et al. (2017), arXiv:1706.03762, section 3.5."""

import jax.numpy as jnp
from jax.dtypes import canonicalize_dtype
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jattn._axes import named_axes
from jattn._options import Count
from jattn._precision import inner_dtype
from jattn.positions.angles import check_base, cosines_and_sines, frequencies


@named_axes
def sinusoidal_positions(
    t: Count,
    d: Count,
    *,
    offset: Int[Array, ""] | int = 0,
    base: float = 10000.0,
    dtype: DTypeLike = float,
) -> Float[Array, "t d"]:
    """A vector of `d` sinusoids for each of `t` positions, to be added to embedded tokens.

        outputs[t, 2 i]     = sin((t + offset) base ** (-2 i / d))
        outputs[t, 2 i + 1] = cos((t + offset) base ** (-2 i / d))

    The paper names them PE(pos, 2i) and multiplies the embeddings that they are added to by √d.

        >>> sinusoidal_positions(2, 4, dtype="float16").round(2)
        Array([[0.  , 1.  , 0.  , 1.  ],
               [0.84, 0.54, 0.01, 1.  ]], dtype=float16)

    Args:
        offset: the position of the first vector; a decoder's step passes its own and t = 1.
    """
    check_base("sinusoidal_positions", base)
    dtype = canonicalize_dtype(dtype)
    positions = jnp.arange(t, dtype=jnp.int32) + jnp.asarray(offset, jnp.int32)
    inner = inner_dtype(dtype)
    cosines, sines = cosines_and_sines(positions, frequencies(d, base), inner)
    pairs = jnp.stack([sines, cosines], axis=-1).reshape(t, 2 * sines.shape[1])
    return pairs[:, :d].astype(dtype)
