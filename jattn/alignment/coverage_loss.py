"""Coverage loss: See, Liu & Manning (2017), arXiv:1704.04368."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jattn._axes import named_axes
from jattn._precision import at_least_float32


@named_axes
@at_least_float32
def coverage_loss(
    weights: Float[Array, "t s"], *, initial: Float[Array, " s"] | None = None
) -> Float[Array, " t"]:
    """Returns for each query how much it attends to keys that were attended to before.

        losses[t] = Σ_s min(weights[t, s], covered[t, s]),   covered[t] = initial + Σ weights[:t]

    The weights may be any mechanism's. Each loss is at most the sum of its row. The paper adds the
    losses of all steps to those of the words. Where both are equal, the gradient goes to the sum.

        >>> print(coverage_loss(jnp.array([[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]])))
        [0.   0.75 0.75]

    Args:
        weights: of queries in order; zero for padding, which adds nothing.
        initial: the sum before the first query, zero by default.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    start = jnp.zeros_like(weights[:1]) if initial is None else initial[None]
    covered = jnp.cumsum(jnp.concatenate([start, weights]), axis=0)[:-1]
    return jnp.where(weights < covered, weights, covered).sum(1)
