"""Layouts of heads, groups and queries in the arrays of a call and of one head.

An axis of r heads is left out if r is one: XLA takes such an axis for a reason to copy the array.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from jattn.engine.block import Read


def grouped(array: Float[Array, "b t h *f"], groups: int) -> Float[Array, "b t g *r"]:
    """Heads as groups of r: [b t g *r *f]."""
    b, t, h, *features = array.shape
    return array if h == groups else array.reshape(b, t, groups, h // groups, *features)


def rows_of_head(array: Float[Array, "t *r f"]) -> Float[Array, "r t f"]:
    return array[None] if array.ndim == 2 else array.swapaxes(0, 1)


def pairs_of_head(array: Any) -> Any:
    """[*r t s] as [r t s]."""
    return array[None] if array is not None and array.ndim == 2 else array


def by_query(context: Float[Array, "r t v"], lse: Float[Array, "r t 1"]) -> Read:
    """Returns the results of a head as [t *r v] and [t *r]."""
    turn = lambda x: x[0] if len(x) == 1 else x.swapaxes(0, 1)
    return Read(turn(context), turn(lse[..., 0]))


def groups_inside(r: int, found: Read) -> Read:
    """Returns results of groups, [*b g t *r v] and [*b g t *r], as [*b t h v] and [*b t h]."""
    axis = found.lse.ndim - (2 if r == 1 else 3)
    return joined(r, Read(*(jnp.swapaxes(x, axis, axis + 1) for x in found)))


def joined(r: int, found: Read) -> Read:
    """[*b t g *r v] and [*b t g *r] as [*b t h v] and [*b t h]."""
    if r == 1:
        return found
    *batch, t, g, _ = found.lse.shape
    lse = found.lse.reshape(*batch, t, g * r)
    return Read(found.context.reshape(*lse.shape, found.context.shape[-1]), lse)
