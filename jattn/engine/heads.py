"""All heads of a call, and the rule for their derivatives."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jattn.engine.block import Read, read, slope
from jattn.engine.layout import (
    by_query,
    grouped,
    groups_inside,
    joined,
    rows_of_head,
)
from jattn.engine.loops import again
from jattn.engine.pairs import Operands, Setting, Static
from jattn.engine.planning import Run
from jattn.engine.problems import Kind, Loops, filled, over_problems
from jattn.engine.readers import Readers
from jattn.engine.runs import Found, Part, over_blocks


class How(NamedTuple):
    """The static part of a call: the blocks of each head, and the loops over heads."""

    static: Static
    runs: tuple[Run, ...]
    loops: Loops
    operands: tuple[Kind, ...]  # Of each leaf, and so are the other two.
    setting: tuple[Kind, ...]
    readers: tuple[Kind, ...]


BY_GROUP = Kind(0, 2)  # [b t g ...]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def attend(how: How, operands: Operands, setting: Setting, readers: Readers | None) -> Read:
    """Context [b t h v], lse [b t h] of queries [b t g r k], keys [b s g k], values [b s g v].

    Bias and mask lie as `pairs_of` lays them, sinks are [g r], readers [b g ...].
    """

    def one(leaves: list[Any]) -> Read:
        operands, setting, readers = structure.unflatten(leaves)
        operands = of_head(operands, readers)

        def block(part: Part) -> Found:
            context, lse = read(how.static, *of_block(part, operands, setting))
            return Found((context, lse[:, None]))

        head = Part(
            operands[:1],
            operands[1:3],
            (operands.bias, setting.array),
            setting.mask,
            seen=setting.seen,
        )
        return by_query(*over_blocks(block, how.runs, head).rows)

    leaves, structure = jax.tree.flatten((operands, setting, readers))
    kinds = how.operands + how.setting + how.readers
    if how.loops.together == 1:
        return joined(how.static.heads, filled(one, leaves, kinds, sizes_of(operands)))
    finish = partial(groups_inside, how.static.heads)
    return over_problems(one, finish, leaves, kinds, sizes_of(operands), how.loops)


@attend.defjvp
def _attend_jvp(how: How, primals: Any, tangents: Any) -> tuple[Read, Read]:
    result = attend(how, *primals)
    # Computed anew for a derivative, and so is each block: nothing is kept but what comes in here.
    change = again(partial(_slope, how))
    return result, change(*primals, result, tangents[0])


def _slope(
    how: How,
    operands: Operands,
    setting: Setting,
    readers: Readers | None,
    result: Read,
    d: Operands,
) -> Read:
    """The change of `attend`'s result for the changes `d`, linear in these."""

    def one(leaves: list[Any]) -> Read:
        operands, setting, readers, result, d = structure.unflatten(leaves)
        operands, d = of_head(operands, readers), of_head(d, readers)

        @again
        def block(part: Part) -> Found:
            query, context, lse, d_query = part.queries
            key, value, d_key, d_value = part.keys
            bias, array, d_bias = part.pairs
            own = part._replace(queries=(query,), keys=(key, value), pairs=(bias, array))
            change = Operands(d_query, d_key, d_value, d_bias, d.sinks, d.scale)
            given = of_block(own, operands, setting)
            context, lse = slope(
                how.static, *given, part.key_columns, Read(context, lse[:, 0]), change
            )
            return Found((context, lse[:, None]))

        found = rows_of_head(result.context), rows_of_head(result.lse[..., None])
        head = Part(
            (operands.query, *found, d.query),
            (operands.key, operands.value, d.key, d.value),
            (operands.bias, setting.array, d.bias),
            setting.mask,
            seen=setting.seen,
        )
        return by_query(*over_blocks(block, how.runs, head, turn=True).rows)

    result = jax.tree.map(lambda x: grouped(x, operands.key.shape[2]), result)
    leaves, structure = jax.tree.flatten((operands, setting, readers, result, d))
    kinds = how.operands + how.setting + how.readers + (BY_GROUP,) * 2
    kinds += tuple(kind._replace(is_scanned=True) for kind in how.operands)
    finish = partial(groups_inside, how.static.heads)
    return over_problems(one, finish, leaves, kinds, sizes_of(operands), how.loops)


def of_block(part: Part, operands: Operands, setting: Setting) -> tuple[Operands, Setting]:
    """The arrays of a block and, of its head, what is the same for all of them."""
    (query,), (key, value), (bias, array) = part.queries, part.keys, part.pairs
    own = Operands(query, key, value, bias, operands.sinks, operands.scale)
    return own, Setting(part.mask, array, setting.dropout, part.first_query, part.first_key)


def of_head(operands: Operands, readers: Readers | None) -> Operands:
    """Queries as [r t k], and zero where nobody reads; so are keys and values."""
    query, key, value = rows_of_head(operands.query), operands.key, operands.value
    if readers is not None:
        reads, read = readers.reads[..., None], readers.read[..., None]
        query = jnp.where(reads, query, 0.0)
        key, value = jnp.where(read, key, 0.0), jnp.where(read, value, 0.0)
    return operands._replace(query=query, key=key, value=value)


def sizes_of(operands: Operands) -> tuple[int, int]:
    """Batch elements and groups of heads."""
    return operands.key.shape[0], operands.key.shape[2]
