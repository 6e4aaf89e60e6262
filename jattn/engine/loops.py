"""Loops over batch and heads, in place of `jax.vmap` and with its meaning.

XLA's products with batch axes are slower than products of matrices one after the other, whose
results stay in the cache.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

SMALL = 2**12  # Entries that are repeated rather than looped over.

again = partial(jax.checkpoint, prevent_cse=False)  # Computed anew for a derivative.

Moves = tuple[bool, bool]  # Whether an array has an axis of batch elements, one of groups.
Flat = Callable[[list[Any]], Any]


def over(function: Flat, mapped: Sequence[bool], size: int, together: int) -> Flat:
    """Maps `function` of a list over the first axis of those that are `mapped`, `together` a step.

    It is `jax.vmap` when one step does it all, and a loop of it otherwise.
    """
    if size == 1:  # An axis less, which XLA's simplifications and kernels like better.
        one = lambda leaves: [x[0] if m else x for m, x in zip(mapped, leaves, strict=True)]
        return lambda leaves: jax.tree.map(lambda x: x[None], function(one(leaves)))
    together = _divisor(size, together)
    at_once = jax.vmap(function, ([0 if m else None for m in mapped],))
    if together >= size or not any(mapped):
        return at_once
    return _looped(function if together == 1 else at_once, mapped, size, together)


def over_batch(
    function: Flat, leaves: list[Any], mapped: Sequence[bool], size: int, few: int
) -> Any:
    """Calls `function` with `few` batch elements at a time; `mapped` leaves have their axis.

    Where it gets one at a time that axis is missing, whose transposes are then faster ones.
    """
    if 1 < few >= size:
        return function(leaves)
    few = _divisor(size, few)
    return (over if few == 1 else _looped)(function, mapped, size, few)(leaves)


def _divisor(size: int, most: int) -> int:
    """The largest one that is at most `most`."""
    return next(n for n in range(max(min(most, size), 1), 0, -1) if size % n == 0)


def _looped(function: Flat, mapped: Sequence[bool], size: int, few: int) -> Flat:
    """Calls `function` with `few` entries of the mapped leaves at a time; one has no axis."""

    def looped(leaves: list[Any]) -> Any:
        def step(chosen: list[Any]) -> Any:
            rest = iter(chosen)
            return function([next(rest) if m else x for m, x in zip(mapped, leaves, strict=True)])

        moving = [jnp.asarray(x) for m, x in zip(mapped, leaves, strict=True) if m]
        if few == 1:
            return lax.map(step, moving)
        steps = [x.reshape(size // few, few, *x.shape[1:]) for x in moving]
        return jax.tree.map(lambda x: x.reshape(size, *x.shape[2:]), lax.map(step, steps))

    return looped


def over_both(
    function: Any,
    leaves: list[Any],
    moves: Sequence[Moves],
    sizes: tuple[int, int],
    together: int,
    groups_first: bool,
) -> Any:
    """Maps over batch and groups; the inner loop is the one over which a bias is shared."""
    b, g = sizes
    small = lambda x, m: x.ndim - sum(m) <= 1 and x.size <= b * g * SMALL
    if all(all(m) or not any(m) or small(x, m) for x, m in zip(leaves, moves, strict=True)):
        flat = [_flat(x, m, sizes) if any(m) else x for x, m in zip(leaves, moves, strict=True)]
        found = over(function, [any(m) for m in moves], b * g, together)(flat)
        return jax.tree.map(lambda x: x.reshape(b, g, *x.shape[1:]), found)
    outer, inner = (1, 0) if groups_first else (0, 1)
    if groups_first:
        leaves = [
            jnp.swapaxes(x, 0, 1) if all(m) else x for x, m in zip(leaves, moves, strict=True)
        ]
    step = over(function, [m[inner] for m in moves], sizes[inner], together)
    loop = over(step, [m[outer] for m in moves], sizes[outer], together // max(sizes[inner], 1))
    found = loop(leaves)
    return jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), found) if groups_first else found


def _flat(array: Any, moves: tuple[bool, bool], sizes: tuple[int, int]) -> Any:
    """One axis for batch and groups, over whichever of the two the array is the same."""
    missing = [axis for axis in (0, 1) if not moves[axis]]
    array = jnp.expand_dims(array, missing)
    array = jnp.broadcast_to(array, (*sizes, *array.shape[2:]))
    return array.reshape(sizes[0] * sizes[1], *array.shape[2:])
