"""A mechanism that reads nothing: what every other one is compared with."""

from collections.abc import Callable

import jax.numpy as jnp

import jattn


def read_nothing(params: None, memory: jattn.Memory) -> Callable[..., jattn.Attended]:
    """No attention: each step gets a context of zeros, and the start state is all that is known."""
    s, v = memory.values.shape
    return lambda query, position: jattn.Attended(
        jnp.zeros((len(query), v), query.dtype), jnp.zeros((len(query), s), query.dtype)
    )
