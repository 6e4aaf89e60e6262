"""The engine's loops: over batch and heads, and inside of these over blocks of queries."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jattn.engine.block import Operands, Setting, Static, read, weights_of
from jattn.engine.chance import Chance
from jattn.engine.plan import Plan, Run
from jattn.engine.slabs import slabs, slabs_of_pairs, within
from jattn.masks.algebra import Mask


class Head(NamedTuple):
    """One problem: the query heads of a group, and the keys and values that they share."""

    query: Float[Array, "r t k"]
    key: Float[Array, "s k"]
    value: Float[Array, "s v"]
    bias: Float[Array, "r t s"] | None  # Axes may have size 1.
    array: Bool[Array, "r t s"] | None  # Axes may have size 1.
    mask: Mask | None
    sinks: Float[Array, " r"] | None
    chance: Chance | None


class Attended(NamedTuple):
    """What a problem gives; weights only where they are asked for."""

    context: Float[Array, "r t v"]
    lse: Float[Array, "r t"]
    weights: Float[Array, "r t s"] | None


Flat = Callable[[list[Any]], Any]


def over(function: Flat, mapped: Sequence[bool], size: int, together: int) -> Flat:
    """Maps `function` of a list over the first axis of those that are `mapped`, `together` a step.

    It is `jax.vmap` when one step does it all, and a loop of it otherwise.
    """
    together = next(n for n in range(max(min(together, size), 1), 0, -1) if size % n == 0)
    at_once = jax.vmap(function, ([0 if m else None for m in mapped],))
    if together >= size or not any(mapped):
        return at_once

    def looped(leaves: list[Any]) -> Any:
        def step(chosen: list[Any]) -> Any:
            rest = iter(chosen)
            merged = [next(rest) if m else x for m, x in zip(mapped, leaves, strict=True)]
            return (function if together == 1 else at_once)(merged)

        moving = [jnp.asarray(x) for m, x in zip(mapped, leaves, strict=True) if m]
        if together == 1:
            return lax.map(step, moving)
        steps = [x.reshape(size // together, together, *x.shape[1:]) for x in moving]
        return jax.tree.map(lambda x: x.reshape(size, *x.shape[2:]), lax.map(step, steps))

    return looped


def attend_head(plan: Plan, static: Static, wants_weights: bool, head: Head) -> Attended:
    """All queries of one problem, run by run."""
    parts = [_attend_run(run, static, wants_weights, head) for run in plan.runs]
    if len(parts) == 1:
        return parts[0]
    if not parts:  # No queries.
        (r, t, _), (s, v) = head.query.shape, head.value.shape
        empty = lambda *shape: jnp.zeros(shape, head.query.dtype)
        return Attended(empty(r, t, v), empty(r, t), empty(r, t, s) if wants_weights else None)
    return jax.tree.map(lambda *xs: jnp.concatenate(xs, axis=1), *parts)


def _attend_run(run: Run, static: Static, wants_weights: bool, head: Head) -> Attended:
    (r, t, _), s = head.query.shape, len(head.key)
    rows = slice(run.start, run.start + run.size * run.count)
    more = max(rows.stop - t, 0)  # The last block of a band may be longer than what is left.
    mask = head.mask
    moves = run.key_step > 0
    if moves:
        mask = within(s) if mask is None else within(s) & mask

    def blocks(array: Any, axis: int) -> Any:
        """The rows of this run, block by block in front."""
        cut = lax.slice_in_dim(array, rows.start, min(rows.stop, t), axis=axis)
        pad = [(0, more if i == axis else 0) for i in range(cut.ndim)]
        cut = jnp.pad(cut, pad) if more else cut
        shape = (*cut.shape[:axis], run.count, run.size, *cut.shape[axis + 1 :])
        return jnp.moveaxis(cut.reshape(shape), axis, 0)

    def pairs(array: Any) -> tuple[Any, bool]:
        """Bias or mask for these rows and keys, and whether it differs from block to block."""
        if array is None:
            return None, False
        own_rows, own_keys = array.shape[1] > 1 or t == 1, array.shape[2] > 1 or s == 1
        array = blocks(array, 1) if own_rows else array
        if own_keys and moves:
            return slabs_of_pairs(array, run, own_rows), True
        if own_keys:
            array = lax.slice_in_dim(array, run.key_start, run.key_start + run.width, axis=-1)
        return array, own_rows

    if moves:
        keys, values = slabs(head.key, run), slabs(head.value, run)
    else:
        span = slice(run.key_start, run.key_start + run.width)
        keys, values = head.key[span], head.value[span]
    turned = [jnp.swapaxes(x, -1, -2) for x in (keys, values)]
    queries = jnp.moveaxis(blocks(head.query, 1), -1, 1)  # n k r c
    queries = queries.reshape(run.count, queries.shape[1], r * run.size)
    (bias, bias_moves), (array, array_moves) = pairs(head.bias), pairs(head.array)
    moving = [jnp.arange(run.count), queries]
    fixed = [keys, values, *turned, bias, array]
    flags = [moves] * 4 + [bias_moves, array_moves]
    moving += [x for x, flag in zip(fixed, flags, strict=True) if flag]

    def attend_block(chosen: list[Any]) -> tuple[Any, Any, Any]:
        index, query, *rest = chosen
        left = iter(rest)
        key, value, key_columns, value_columns, bias, array = (
            next(left) if flag else x for x, flag in zip(fixed, flags, strict=True)
        )
        operands = Operands(query, key, value, bias, head.sinks)
        setting = Setting(
            key_columns,
            value_columns,
            mask,
            array,
            run.start + index * run.size + jnp.arange(run.size),
            run.key_start + index * run.key_step + jnp.arange(run.width),
            head.chance,
        )
        result = read(static, operands, setting)
        weights = weights_of(static, operands, setting, result.lse) if wants_weights else None
        return result.context, result.lse, weights

    if run.count == 1:
        found = attend_block([x[0] for x in moving])
        context, lse, weights = jax.tree.map(lambda x: x[None], found)
    else:
        context, lse, weights = lax.map(attend_block, moving)

    def whole(array: Any) -> Any:
        """`array [n f (r c)]` as [r t f]."""
        features = array.shape[1]
        array = array.reshape(run.count, features, r, run.size).transpose(2, 0, 3, 1)
        return array.reshape(r, run.count * run.size, features)[:, : run.count * run.size - more]

    if weights is not None:
        weights = whole(weights)
        places = (
            run.key_start + jnp.arange(rows.stop - rows.start - more) // run.size * run.key_step
        )
        weights = jax.vmap(jax.vmap(lambda row, at: _place(row, at, s)), (0, None))(weights, places)
    return Attended(whole(context), whole(lse[:, None])[..., 0], weights)


def _place(row: Float[Array, " w"], start: Any, s: int) -> Float[Array, " s"]:
    """A row of weights over a span of keys as one over all keys."""
    wide = jnp.zeros(s + 2 * len(row), row.dtype)
    return lax.dynamic_update_slice(wide, row, (start + len(row),))[len(row) : len(row) + s]
