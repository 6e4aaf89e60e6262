"""Measurements of the weights and scores of each tile, such as their sums."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jattn.engine.block import weights_of
from jattn.engine.operands import Hidden, Operands, Place, Settings
from jattn.engine.tiles import Found


class Measured(NamedTuple):
    """Measurements of each query of a tile and of all keys."""

    rows: Float[Array, "t r m"]
    columns: Float[Array, "r s"] | None = None


# Maps the weights of a tile, its scores, which are -inf where nothing is seen, and a function that
# places an array [_ w] over the tile's keys among all keys.
Tile = Float[Array, "t r w"]
Measure = Callable[[Tile, Tile, Callable[[Array], Array]], Measured]


class Measuring(NamedTuple):
    """Applies `measure` to the weights of a tile of t queries and s keys in all."""

    measure: Measure
    t: int
    s: int

    def __call__(
        self,
        settings: Settings,
        operands: Operands,
        hidden: Hidden,
        place: Place,
        *lse: Float[Array, "t *r"],
    ) -> Found:
        weights, scores = weights_of(settings, operands, hidden, place, *lse)
        size = operands.query.shape[0]
        shape = size, settings.heads, weights.shape[1]
        weights, scores = weights.reshape(shape), scores.reshape(shape)
        exists = place.query + jnp.arange(size) < self.t  # Blocks may end after the last query.
        weights = jnp.where(exists[:, None, None], weights, 0.0)
        among_all = lambda x: _among_all(x, place.key, self.s)
        return Found(*self.measure(weights, scores, among_all))


def _among_all(array: Float[Array, "c w"], start: Any, s: int) -> Float[Array, "c s"]:
    """An array over a span of keys as one over all."""
    rows, width = array.shape
    wide = jnp.zeros((rows, s + 2 * width), array.dtype)
    wide = lax.dynamic_update_slice_in_dim(wide, array, start + width, 1)
    return wide[:, width : width + s]
