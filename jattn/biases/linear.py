"""Attention with linear biases: Press, Smith & Lewis (2022), arXiv:2108.12409, section 3."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jattn._axes import named_axes
from jattn._options import Count
from jattn.biases.algebra import Bias, column, sizes_of


@named_axes
def alibi(slopes: Float[Array, " h"]) -> Bias:
    """Returns the bias by which each head prefers near keys, some heads more than others.

        bias[h] = -slopes[h] |distance|

    The paper names the slope m and attends to the past alone. There the bias is `slopes[h]
    distance`, and the authors' code adds `slopes[h]` times the key's position: a row of scores
    moves by one number, which softmax does not see. Without a causal mask these forms differ. Here
    keys on both sides count alike; the others prefer keys after the query.

    Args:
        slopes: `alibi_slopes(heads)`, those of the authors' code, or
            `alibi_geometric_slopes(heads)`. The paper keeps them constant; as arrays they can be
            trained.

    Raises:
        ValueError: if slopes is no array of one axis.
    """
    return Bias(linear_rule, (slopes,))


def linear_rule(distances, slopes):
    return -column(slopes) * sizes_of(distances, slopes.dtype)


@named_axes
def alibi_slopes(heads: Count) -> Float[Array, " h"]:
    """Returns the slopes of the authors' code: 2 ** (-8 / heads) and its powers.

    That holds for a power of two. Otherwise they are the slopes of the next smaller power of two,
    followed by every other slope of the next larger one. BLOOM and MPT have these too.

        >>> print(alibi_slopes(6))
        [0.25       0.0625     0.015625   0.00390625 0.5        0.125     ]
    """
    smaller = 2 ** (int(heads).bit_length() - 1) if heads else 0
    larger = _geometric(2 * smaller)[::2]
    return jnp.asarray(np.concatenate([_geometric(smaller), larger[: heads - smaller]]))


@named_axes
def alibi_geometric_slopes(heads: Count) -> Float[Array, " h"]:
    """Returns the slopes of one geometric sequence, for any number of heads.

        slopes[h] = 2 ** (-8 (h + 1) / heads)

    For a power of two they are those of `alibi_slopes`.
    """
    return jnp.asarray(_geometric(heads))


def _geometric(heads: int) -> np.ndarray:
    return 2.0 ** (-8.0 * np.arange(1, heads + 1) / max(heads, 1))
