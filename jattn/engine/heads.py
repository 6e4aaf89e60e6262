"""A few batch elements of the engine: their heads, one group after the other or several at once."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jattn.engine.block import Read, read, slope
from jattn.engine.loops import Moves, over, over_both
from jattn.engine.pairs import Operands, Setting, Static
from jattn.engine.planning import Run
from jattn.engine.readers import Readers
from jattn.engine.runs import Found, Part, over_blocks


class How(NamedTuple):
    """What is known before the run: the blocks of each head, and what the loops over heads do."""

    static: Static
    runs: tuple[Run, ...]
    together: int
    groups_first: bool
    operands: tuple[Moves, ...]  # Of each leaf.
    setting: tuple[Moves, ...]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def attend(how: How, operands: Operands, setting: Setting, readers: Readers | None) -> Read:
    """Context [*b t h v], lse [*b t h] of queries [*b t h k], keys [*b s g k], values [*b s g v].

    There is one batch axis or none. Bias and mask lie as `pairs_of` lays them, sinks are [g r].
    """

    def one(operands: Operands, setting: Setting) -> Read:
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
        return Read(*over_blocks(block, how.runs, head).rows)

    given = by_head(operands, readers), setting
    return _by_query(over_heads(one, how, given, how.operands + how.setting))


@attend.defjvp
def _attend_jvp(how: How, primals: Any, tangents: Any) -> tuple[Read, Read]:
    result = attend(how, *primals)
    # Computed anew for a derivative, and so is each block: nothing is kept but what comes in here.
    change = jax.checkpoint(partial(_slope, how), prevent_cse=False)
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

    # Of a head too, lest the keys of each of its runs are kept for the way back.
    @partial(jax.checkpoint, prevent_cse=False)
    def one(operands: Operands, setting: Setting, result: Read, d: Operands) -> Read:
        @partial(jax.checkpoint, prevent_cse=False)
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

        head = Part(
            (operands.query, *result, d.query),
            (operands.key, operands.value, d.key, d.value),
            (operands.bias, setting.array, d.bias),
            setting.mask,
            seen=setting.seen,
        )
        return Read(*over_blocks(block, how.runs, head, turn=True).rows)

    g = operands.key.shape[-2]
    found = Read(grouped(result.context, g), grouped(result.lse[..., None], g))
    given = by_head(operands, readers), setting, found, by_head(d, readers)
    moves = how.operands + how.setting + ((True, True),) * 2 + how.operands
    return _by_query(over_heads(one, how, given, moves))


def of_block(part: Part, operands: Operands, setting: Setting) -> tuple[Operands, Setting]:
    """The arrays of a block and, of its head, what is the same for all of them."""
    (query,), (key, value), (bias, array) = part.queries, part.keys, part.pairs
    own = Operands(query, key, value, bias, operands.sinks, operands.scale)
    return own, Setting(part.mask, array, setting.chance, part.first_query, part.first_key)


def over_heads(
    function: Callable[..., Any], how: How, given: tuple[Any, ...], moves: Sequence[Moves]
) -> Any:
    """Calls `function` for each group of heads; the first of `given` are the operands."""
    leaves, structure = jax.tree.flatten(given)
    one = lambda leaves: function(*structure.unflatten(leaves))
    *batch, groups, _, _, _ = given[0].query.shape
    if not batch:
        return over(one, [own for _, own in moves], groups, how.together)(leaves)
    return over_both(one, leaves, moves, (*batch, groups), how.together, how.groups_first)


def by_head(operands: Operands, readers: Readers | None) -> Operands:
    """Queries as [*b g r t k], keys and values as [*b g s k]; zero where nobody reads."""
    query = grouped(operands.query, operands.key.shape[-2])
    key, value = operands.key.swapaxes(-2, -3), operands.value.swapaxes(-2, -3)
    if readers is not None:
        reads, read = readers.reads[..., None], readers.read[..., None]
        query = jnp.where(reads, query, 0.0)
        key, value = jnp.where(read, key, 0.0), jnp.where(read, value, 0.0)
    return operands._replace(query=query, key=key, value=value)


def grouped(array: Float[Array, "*b t h f"], groups: int) -> Float[Array, "*b g r t f"]:
    *batch, t, h, f = array.shape
    return jnp.moveaxis(array.reshape(*batch, t, groups, h // groups, f), -4, -2)


def _by_query(found: Read) -> Read:
    *batch, g, r, t, v = found.context.shape
    context = jnp.moveaxis(found.context, -2, -4).reshape(*batch, t, g * r, v)
    return Read(context, jnp.moveaxis(found.lse[..., 0], -1, -3).reshape(*batch, t, g * r))
