"""Stick-breaking attention: Tan et al. (2024), arXiv:2410.17980."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jattn._axes import named_axes
from jattn._precision import at_least_float32
from jattn.alignment.softplus import softplus
from jattn.mechanism import MaskLike
from jattn.normalizers.counted import counted


@named_axes
@at_least_float32
def stick_breaking(scores: Float[Array, "t s"], mask: MaskLike = None) -> Float[Array, "t s"]:
    """Returns the share that each key breaks off a stick, from the last key to the first.

        weights[s] = sigmoid(scores[s]) Π_{j > s} (1 - sigmoid(scores[j]))

    It is a normalizer: a query prefers the latest of the keys that it could attend to. A row sums
    to at most one, and the rest of the stick is no key's. The paper has keys strictly before the
    query, which is `mask=masks.causal(-1)`, and scaled products as scores. The products are sums of
    logarithms of one sign, `left_over`, so nothing cancels.

        >>> print(stick_breaking(jnp.zeros((1, 4))))
        [[0.0625 0.125  0.25   0.5   ]]

    Raises:
        ValueError: if scores and mask disagree about an axis, or the mask is not boolean.
    """
    mask, scores = counted(scores, mask)
    left_over = jnp.where(mask, -softplus(scores), 0.0)
    after = jnp.pad(left_over, ((0, 0), (0, 1)))[:, 1:]
    remaining = jnp.exp(jax.lax.cumsum(after, axis=1, reverse=True))
    return jnp.where(mask, jax.nn.sigmoid(scores) * remaining, 0.0)
