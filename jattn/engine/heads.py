"""One problem of the engine, a group of heads: its loops over blocks of queries."""

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


class Attended(NamedTuple):
    """What a run gives; weights only where they are asked for."""

    context: Float[Array, "n c v"]
    lse: Float[Array, "n c 1"]
    weights: Float[Array, "n c s"] | None


def blocks_of(run: Run, query: Float[Array, "b g r t k"]) -> Float[Array, "b g n c k"]:
    """The queries of a run, block by block; past the last query there are zeros."""
    b, g, r, t, k = query.shape
    stop = run.start + run.size * run.count
    cut = query[:, :, :, run.start : min(stop, t)]
    if stop > t:
        cut = jnp.pad(cut, [(0, 0)] * 3 + [(0, stop - t), (0, 0)])
    cut = cut.reshape(b, g, r, run.count, run.size, k).swapaxes(2, 3)
    return cut.reshape(b, g, run.count, r * run.size, k)


def queries_of(
    runs: tuple[Run, ...], parts: tuple[Float[Array, "b g n c f"], ...], r: int, t: int
) -> Float[Array, "b g r t f"]:
    """What was found for the blocks of all runs, query by query."""

    def whole(run: Run, part: Any) -> Any:
        b, g, n, _, f = part.shape
        part = part.reshape(b, g, n, r, run.size, f).swapaxes(2, 3)
        return part.reshape(b, g, r, n * run.size, f)[:, :, :, : t - run.start]

    return jnp.concatenate([whole(*pair) for pair in zip(runs, parts, strict=True)], axis=3)


def attend_head(
    plan: Plan, static: Static, wants_weights: bool, head: Head
) -> tuple[Attended, ...]:
    """All queries of one problem, run by run."""
    return tuple(
        _attend_run(run, blocks, static, wants_weights, head, plan.problem.t)
        for run, blocks in zip(plan.runs, head.blocks, strict=True)
    )


def _attend_run(
    run: Run, queries: Any, static: Static, wants_weights: bool, head: Head, t: int
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
        weights = None
        if wants_weights:
            weights = weights_of(static, operands, setting, lse)
            weights = _place(weights, first_key, s)
        return Attended(context, lse[:, None], weights)

    moving = [jnp.arange(run.count), queries]
    moving += [x for x, flag in zip(fixed, flags, strict=True) if flag]
    if run.count == 1:
        return jax.tree.map(lambda x: x[None], attend_block([x[0] for x in moving]))
    return lax.map(attend_block, moving)


def _place(weights: Float[Array, "c w"], start: Any, s: int) -> Float[Array, "c s"]:
    """Weights over a span of keys as weights over all."""
    rows, width = weights.shape
    wide = jnp.zeros((rows, s + 2 * width), weights.dtype)
    wide = lax.dynamic_update_slice_in_dim(wide, weights, start + width, 1)
    return wide[:, width : width + s]
