"""Dropout: Srivastava et al. (2014), Journal of Machine Learning Research 15."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jattn._axes import named_axes
from jattn._options import check_dtype, check_known, check_options, named


@named_axes
def dropout(rng: Key[Array, ""] | None, inputs: Float[Array, "..."], rate: float) -> Array:
    """Sets each entry to zero with probability `rate` and divides the others by 1 - rate.

    So the mean stays what it was. A rate of 0 changes no bit and needs no rng. Source: Srivastava
    et al. (2014), Journal of Machine Learning Research 15, who divide when testing instead.

    Raises:
        ValueError: if rate is not in [0, 1), or it is above 0 and rng is None.
    """
    check_dropout("dropout", "rate", rate, rng)
    if rate == 0.0 or rng is None:
        return inputs
    kept = jax.random.bernoulli(rng, 1.0 - rate, inputs.shape)
    return jnp.where(kept, inputs / (1.0 - rate), 0.0)


def check_dropout(function: str, name: str, rate: float, rng: Key[Array, ""] | None) -> None:
    """Raises ValueError unless `rate` is in [0, 1) and comes with `rng` where it is above 0."""
    with named(function):
        check_options({name: float}, {name: rate})
    check_known(f"{function}: {name}", rate)
    if rng is not None:
        check_dtype(f"{function}: rng", ["prng_key"], rng)
    if not 0.0 <= rate < 1.0:
        raise ValueError(f"{function}: {name} is {rate}, expected at least 0 and less than 1")
    if rate > 0.0 and rng is None:
        raise ValueError(f"{function}: {name} is {rate} but rng is None, expected a PRNG key")
