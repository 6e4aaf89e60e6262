"""Attention with linear biases: Press, Smith & Lewis (2022), arXiv:2108.12409, section 3."""

import jax.numpy as jnp
import numpy as np
from jax.dtypes import canonicalize_dtype
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jattn._axes import named_axes
from jattn._options import Count, Length
from jattn._precision import inner_dtype
from jattn.positions.offsets import Offset, check_offset, distances


@named_axes
def alibi_bias(
    heads: Count, t: Length, s: Length, *, offset: Offset = 0, dtype: DTypeLike = float
) -> Float[Array, "h t s"]:
    """Returns a bias by which each head prefers near keys, some heads more than others.

        bias[h, t, s] = -slope[h] |t + offset - s|,   slope[h] = 2 ** (-8 (h + 1) / heads)

    The paper names the slope m and attends to the past alone, where the distance is t - s; without
    a causal mask keys on both sides count alike. Where heads is no power of two, slopes are those
    of the authors' code: `alibi_slopes`.

        >>> alibi_bias(8, 2, 3, dtype="float32")[0]
        Array([[-0. , -0.5, -1. ],
               [-0.5, -0. , -0.5]], dtype=float32)

    One step of decoding needs one row, and `offset` may be traced. For the latest of t tokens:

        >>> alibi_bias(8, 1, 3, offset=3 - 1, dtype="float32")[0]
        Array([[-1. , -0.5, -0. ]], dtype=float32)

    Args:
        t: number of queries.
        s: number of keys.
        offset: the position of the first query; the position of the first key is zero.
        dtype: of the result; distances are computed in at least float32.

    Raises:
        ValueError: if heads, t or s is negative.
    """
    check_offset("alibi_bias", offset)
    dtype = canonicalize_dtype(dtype)
    inner = inner_dtype(dtype)
    slopes = jnp.asarray(alibi_slopes(heads), inner)
    distance = jnp.abs(distances(offset, t, s, inner))
    return (-slopes[:, None, None] * distance[None]).astype(dtype)


def alibi_slopes(heads: int) -> np.ndarray:
    """Returns the slope of each head: 2 ** (-8 / heads) and its powers for a power of two.

    Otherwise they are those of the next smaller power of two, followed by every other slope of
    the next larger power.
    """
    slopes = lambda count: 2.0 ** (-8.0 * np.arange(1, count + 1) / max(count, 1))
    smaller = 2 ** (int(heads).bit_length() - 1) if heads else 0
    return np.concatenate([slopes(smaller), slopes(2 * smaller)[::2][: heads - smaller]])
