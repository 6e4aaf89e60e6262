"""The softplus without a rule of its own, so that every mode of differentiation goes through."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def softplus(inputs: Float[Array, "..."]) -> Float[Array, "..."]:
    """Returns log(1 + exp(inputs)), without overflow."""
    is_positive = inputs > 0.0
    fraction = jnp.log1p(jnp.exp(jnp.where(is_positive, -inputs, inputs)))
    return jnp.where(is_positive, inputs, 0.0) + fraction
