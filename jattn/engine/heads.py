"""One problem of the engine, a group of heads: its loops over blocks of queries."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jattn.engine.block import read, weights_of
from jattn.engine.chance import Chance
from jattn.engine.pairs import Operands, Setting, Static
from jattn.engine.planning import Plan, Run
from jattn.engine.slabs import pairs_of_run, slabs
from jattn.masks.algebra import Mask
from jattn.masks.patterns import existing


class Head(NamedTuple):
    """One problem: the query heads of a group, and the keys and values that they share."""

    blocks: tuple[Float[Array, "n c k"], ...]  # One array a run, c = r × its block size.
    scale: Float[Array, ""]
    key: Float[Array, "s k"]
    value: Float[Array, "s v"]
    key_columns: Float[Array, "k s"]
    bias: Float[Array, "r t s"] | None  # Axes may have size 1.
    array: Bool[Array, "r t s"] | None  # Axes may have size 1.
    mask: Mask | None
    sinks: Float[Array, " r"] | None
    chance: Chance | None


class Measured(NamedTuple):
    """What a block's weights say of each of its queries, and of all keys."""

    rows: Float[Array, "c m"]
    columns: Float[Array, "r s"] | None = None


# Maps the weights of a block, [r t w], and a function that places an array over the block's w keys,
# its last axis, among all keys.
Measure = Callable[[Float[Array, "r t w"], Callable[[Array], Array]], Measured]


class Attended(NamedTuple):
    """What a run gives, and what was measured of it, if anything was."""

    context: Float[Array, "n c v"]
    lse: Float[Array, "n c 1"]
    rows: Float[Array, "n c m"] | None
    columns: Float[Array, "n r s"] | None


def attend_head(
    plan: Plan, static: Static, measure: Measure | None, head: Head
) -> tuple[Attended, ...]:
    """All queries of one problem, run by run."""
    return tuple(
        _attend_run(run, blocks, static, measure, head, plan.problem.t)
        for run, blocks in zip(plan.runs, head.blocks, strict=True)
    )


def _attend_run(
    run: Run, queries: Any, static: Static, measure: Measure | None, head: Head, t: int
) -> Attended:
    s, moves = len(head.key), run.key_step > 0
    span = slice(run.key_start, run.key_start + run.width)
    if moves:
        mask = Mask(existing, (s,))
        mask = mask if head.mask is None else mask & head.mask
        keys, values = slabs(head.key, run), slabs(head.value, run)
        turned = jnp.swapaxes(keys, -1, -2)
    else:
        mask, keys, values = head.mask, head.key[span], head.value[span]
        turned = head.key_columns[:, span]
    bias, bias_moves = pairs_of_run(head.bias, run, t, s)
    array, array_moves = pairs_of_run(head.array, run, t, s)
    fixed = [keys, values, turned, bias, array]
    flags = [moves] * 3 + [bias_moves, array_moves]

    def attend_block(chosen: list[Any]) -> Attended:
        index, query, *rest = chosen
        left = iter(rest)
        key, value, key_columns, bias, array = (
            next(left) if flag else x for x, flag in zip(fixed, flags, strict=True)
        )
        first_query, first_key = run.start + index * run.size, run.key_start + index * run.key_step
        # Tied to the queries, since JAX takes out of a loop what does not depend on its input: the
        # masks of all blocks would be made, and kept, at once.
        query, first_query, first_key = lax.optimization_barrier((query, first_query, first_key))
        # Scaled here and not the scores: a product too large for the dtype then counts only if the
        # score itself is.
        operands = Operands(query * head.scale, key, value, bias, head.sinks)
        setting = Setting(
            key_columns,
            mask,
            array,
            first_query,
            first_key,
            head.chance,
        )
        context, lse = read(static, operands, setting)
        measured = (None, None)
        if measure is not None:
            exists = None
            if run.start + run.count * run.size > t:  # Blocks may end after the last query.
                exists = first_query + jnp.arange(run.size) < t
            place = lambda array: _place(array, first_key, s)
            measured = _measured(measure, place, static, exists, operands, setting, lse)
        return Attended(context, lse[:, None], *measured)

    moving = [jnp.arange(run.count), queries]
    moving += [x for x, flag in zip(fixed, flags, strict=True) if flag]
    if run.count == 1:
        return jax.tree.map(lambda x: x[None], attend_block([x[0] for x in moving]))
    return lax.map(attend_block, moving)


# Computed anew for a derivative: what a block keeps must not grow with its pairs.
@partial(jax.checkpoint, prevent_cse=False, static_argnums=(0, 1, 2))
def _measured(
    measure: Measure, place: Any, static: Static, exists: Any, operands: Any, setting: Any, lse: Any
) -> Measured:
    weights = weights_of(static, operands, setting, lse)
    count, width = weights.shape
    weights = weights.reshape(static.heads, count // static.heads, width)
    if exists is not None:
        weights = jnp.where(exists[None, :, None], weights, 0.0)
    return measure(weights, place)


def _place(array: Float[Array, "c w"], start: Any, s: int) -> Float[Array, "c s"]:
    """An array over a span of keys as one over all."""
    rows, width = array.shape
    wide = jnp.zeros((rows, s + 2 * width), array.dtype)
    wide = lax.dynamic_update_slice_in_dim(wide, array, start + width, 1)
    return wide[:, width : width + s]
