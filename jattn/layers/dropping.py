"""Dropout: Srivastava et al. (2014), Journal of Machine Learning Research 15."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jattn._axes import named_axes
from jattn._options import check_dropout


@named_axes
def dropout(rng: Key[Array, ""] | None, inputs: Float[Array, "..."], rate: float) -> Array:
    """Sets each entry to zero with probability `rate` and divides the others by 1 - rate.

    The expected value of each entry does not change. A rate of 0 returns `inputs` itself and needs
    no rng. Source: Srivastava et al. (2014), Journal of Machine Learning Research 15, who divide
    when testing instead.

    Raises:
        ValueError: if rate is not in [0, 1), or it is above 0 and rng is None.
    """
    check_dropout("dropout", "rate", rate, rng)
    if rate == 0.0 or rng is None:
        return inputs
    kept = jax.random.bernoulli(rng, 1.0 - rate, inputs.shape)
    return jnp.where(kept, inputs / (1.0 - rate), 0.0)
