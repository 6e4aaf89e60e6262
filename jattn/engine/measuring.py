"""Measurements of the weights, block by block, without the weight matrix."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jattn.engine.block import weights_of
from jattn.engine.heads import BY_GROUP, How, of_block, of_head, sizes_of
from jattn.engine.layout import grouped, rows_of_head
from jattn.engine.loops import again
from jattn.engine.pairs import Operands, Setting
from jattn.engine.problems import over_problems
from jattn.engine.readers import Readers
from jattn.engine.runs import Found, Part, over_blocks


class Measured(NamedTuple):
    """Measurements of each query and of all keys; in a block [c m] and [r s]."""

    rows: Float[Array, "*b g r t m"]
    columns: Float[Array, "*b g r s"] | None = None


# Maps the weights of a block, [r t w], and a function that places an array over the block's w keys,
# its last axis, among all keys.
Measure = Callable[[Float[Array, "r t w"], Callable[[Array], Array]], Measured]


def measured(
    how: How,
    measure: Measure,
    operands: Operands,
    setting: Setting,
    readers: Readers | None,
    lse: Float[Array, "b t h"],
) -> Measured:
    """Applies `measure` to the weights of each block.

    `lse` is what `attend` found for the other arguments.
    """
    r, (t, s) = how.static.heads, (operands.query.shape[1], operands.key.shape[1])

    def one(leaves: list[Any]) -> Found:
        operands, setting, readers, lse = structure.unflatten(leaves)
        operands, lse = of_head(operands, readers), rows_of_head(lse[..., None])

        # Computed anew for a derivative: what a block keeps must not grow with its pairs.
        @again
        def block(part: Part) -> Found:
            query, lse = part.queries
            given = of_block(part._replace(queries=(query,)), operands, setting)
            weights = weights_of(how.static, *given, lse[:, 0])
            size = len(query) // r
            weights = weights.reshape(r, size, weights.shape[1])
            exists = part.first_query + jnp.arange(size) < t  # Blocks may end after the last query.
            weights = jnp.where(exists[None, :, None], weights, 0.0)
            rows, columns = measure(weights, lambda x: _place(x, part.first_key, s))
            return Found((rows,), () if columns is None else (columns,))

        pairs = (operands.bias, setting.array)
        head = Part((operands.query, lse), operands[1:3], pairs, setting.mask, seen=setting.seen)
        return over_blocks(block, how.runs, head)

    lse = grouped(lse, operands.key.shape[2])
    leaves, structure = jax.tree.flatten((operands, setting, readers, lse))
    kinds = [*how.operands, *how.setting, *how.readers, BY_GROUP]
    kinds = [kind._replace(is_scanned=True) for kind in kinds]
    rows, sums = over_problems(one, lambda x: x, leaves, kinds, sizes_of(operands), how.loops)
    return Measured(*rows, *sums)


def _place(array: Float[Array, "c w"], start: Any, s: int) -> Float[Array, "c s"]:
    """An array over a span of keys as one over all."""
    rows, width = array.shape
    wide = jnp.zeros((rows, s + 2 * width), array.dtype)
    wide = lax.dynamic_update_slice_in_dim(wide, array, start + width, 1)
    return wide[:, width : width + s]
