"""Learned biases of clipped distances: Parikh et al. (2016), arXiv:1606.01933, section 3.4.

There, one number for each distance is added to a score, and all distances beyond a limit share one.
Shaw et al. (2018), arXiv:1803.02155, section 3.2, clip distances to the same 2 m + 1 and learn a
vector for each instead. A number for each head, as here, is that of Swin (Liu et al. 2021,
arXiv:2103.14030, equation 4) along one axis.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.dtypes import canonicalize_dtype
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn._axes import named_axes
from jattn._options import Count, NotNegative
from jattn.biases.algebra import Bias


@named_axes
def relative(table: Float[Array, "m h"]) -> Bias:
    """Returns a learned bias for each head and each distance up to a limit.

        bias[h] = table[clip(distance, -limit, limit) + limit, h],   limit = (m - 1) / 2

    The first row is that of keys at least `limit` before the query, the middle one that of the
    query's own position.

    Raises:
        ValueError: if the table has an even number of rows.
    """
    shape = np.shape(table)
    if shape[0] % 2 == 0:
        raise ValueError(f"relative: table has shape {shape}, expected (m, h) with an odd m")
    return Bias(clipped_rule, (table,))


def clipped_rule(distances, table):
    limit = table.shape[0] // 2
    return table[jnp.clip(distances, -limit, limit) + limit].T


@named_axes
def init_relative(
    rng: Key[Array, ""],
    *,
    heads: Count,
    limit: Count,
    deviation: NotNegative = 0.02,
    dtype: DTypeLike = float,
) -> Bias:
    """Returns `relative` with a table of 2 limit + 1 rows drawn from a normal distribution.

    Args:
        limit: the largest distance with a row of its own.
        deviation: of the distribution; 0.02 as in Swin's code, which truncates it.
    """
    shape = 2 * limit + 1, heads
    return relative(deviation * jax.random.normal(rng, shape, canonicalize_dtype(dtype)))
