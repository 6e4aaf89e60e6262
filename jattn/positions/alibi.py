"""Attention with linear biases: Press, Smith & Lewis (2022), arXiv:2108.12409, section 3."""

import jax.numpy as jnp
import numpy as np
from jax.dtypes import canonicalize_dtype
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jattn._axes import named_axes
from jattn._options import Count
from jattn._precision import inner_dtype


@named_axes
def alibi_bias(
    heads: Count, t: Count, s: Count, *, offset: Int[Array, ""] | int = 0, dtype: DTypeLike = float
) -> Float[Array, "h t s"]:
    """What to add to the scores so that each head prefers near keys, some heads more than others.

        bias[h, t, s] = -slope[h] |t + offset - s|,   slope[h] = 2 ** (-8 (h + 1) / heads)

    The paper names the slope m and attends to the past alone, where the distance is t - s; without
    a causal mask keys on both sides count alike. Where heads is no power of two, slopes are those
    of the authors' code: `alibi_slopes`.

        >>> alibi_bias(8, 2, 3, dtype="float32")[0]
        Array([[-0. , -0.5, -1. ],
               [-0.5, -0. , -0.5]], dtype=float32)

    Args:
        offset: the position of the first query; that of the first key is zero.
    """
    dtype = canonicalize_dtype(dtype)
    inner = inner_dtype(dtype)
    rows = jnp.arange(t, dtype=jnp.int32)[:, None] + jnp.asarray(offset, jnp.int32)
    distance = jnp.abs(rows - jnp.arange(s, dtype=jnp.int32)[None]).astype(inner)
    slopes = jnp.asarray(alibi_slopes(heads), inner)
    return (-slopes[:, None, None] * distance[None]).astype(dtype)


def alibi_slopes(heads: int) -> np.ndarray:
    """The slope of each head: 2 ** (-8 / heads) and its powers, where heads is a power of two.

    Else those of the next smaller power of two, then every other one of the next larger power.
    """
    slopes = lambda count: 2.0 ** (-8.0 * np.arange(1, count + 1) / max(count, 1))
    smaller = 2 ** (int(heads).bit_length() - 1) if heads else 0
    return np.concatenate([slopes(smaller), slopes(2 * smaller)[::2][: heads - smaller]])
