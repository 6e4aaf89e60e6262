"""What is asked of the weights, block by block, so that not all of them need be kept."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jattn.engine.block import weights_of
from jattn.engine.heads import How, by_head, grouped, of_block, over_heads
from jattn.engine.pairs import Operands, Setting
from jattn.engine.readers import Readers
from jattn.engine.runs import Found, Part, over_blocks


class Measured(NamedTuple):
    """What weights say of each query, and of all keys; in a block [c m] and [r s]."""

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
    lse: Float[Array, "*b t h"],
) -> Measured:
    """What `measure` finds in the weights of each block, for a few batch elements.

    `lse` is what `attend` found for the other arguments.
    """
    r, (t, s) = how.static.heads, (operands.query.shape[-3], operands.key.shape[-3])

    def one(operands: Operands, setting: Setting, lse: Float[Array, "r t 1"]) -> Found:
        # Computed anew for a derivative: what a block keeps must not grow with its pairs.
        @partial(jax.checkpoint, prevent_cse=False)
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

    lse = grouped(lse[..., None], operands.key.shape[-2])
    given = by_head(operands, readers), setting, lse
    rows, sums = over_heads(one, how, given, (*how.operands, *how.setting, (True, True)))
    return Measured(*rows, *sums)


def _place(array: Float[Array, "c w"], start: Any, s: int) -> Float[Array, "c s"]:
    """An array over a span of keys as one over all."""
    rows, width = array.shape
    wide = jnp.zeros((rows, s + 2 * width), array.dtype)
    wide = lax.dynamic_update_slice_in_dim(wide, array, start + width, 1)
    return wide[:, width : width + s]
