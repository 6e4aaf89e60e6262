"""A linear recurrence along keys or steps, as an associative scan."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jattn._sizes import are_known
from jattn._varying import scan


def recurrence(
    decay: Float[Array, "s *n"], inputs: Float[Array, "s *n"], *, reverse: bool = False
) -> Float[Array, "s *n"]:
    """Returns sums[s] = decay[s] sums[s - 1] + inputs[s], with s + 1 for s - 1 if `reverse`.

    Without a division, so that a decay of zero is as good as any.
    """
    if not are_known(inputs.shape[0]):  # An associative scan needs the number of steps.
        step = lambda total, row: (row[0] * total + row[1],) * 2
        return scan(step, jnp.zeros_like(inputs[:1].sum(0)), (decay, inputs), reverse=reverse)[1]
    join = lambda left, right: (left[0] * right[0], right[0] * left[1] + right[1])
    return jax.lax.associative_scan(join, (decay, inputs), reverse=reverse)[1]
