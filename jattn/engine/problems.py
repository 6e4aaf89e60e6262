"""Loops over the problems of a call: one for each batch element and group of heads.

An array stays as it was laid out where a problem's part of it can be looked up. To turn it so that
heads come first would write all of it once more, into memory that is new at every call.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jattn._varying import varying_as
from jattn.engine.loops import Moves, again, over, over_batch, over_both

Function = Callable[[list[Any]], Any]


class Kind(NamedTuple):
    """Axis numbers of batch and groups in an array; None if the array has no such axis."""

    batch: int | None
    group: int | None
    # For what a transpose is taken of: that of a loop over an axis puts each part in its place,
    # that of looking a part up goes over the whole array for each.
    is_scanned: bool = False


class Loops(NamedTuple):
    """Numbers of batch elements and of problems that one step computes."""

    few: int
    together: int
    groups_first: bool


def leading(moves: Moves) -> Kind:
    """Of an array whose axes of batch and groups, if it has them, come first."""
    return Kind(0 if moves[0] else None, int(moves[0]) if moves[1] else None)


def over_problems(
    function: Function,
    finish: Callable[[Any], Any],
    leaves: list[Any],
    kinds: Sequence[Kind],
    sizes: tuple[int, int],
    loops: Loops,
) -> Any:
    """Calls `function` with what each problem has of the leaves, the first of which has a batch.

    `finish` gets the results of some batch elements, [b g ...], or of one, [g ...], and lays them
    out for the caller.
    """
    b, g = sizes
    mapped = [kind.batch is not None for kind in kinds]

    @again
    def some(part: list[Any]) -> Any:
        if part[0].ndim < leaves[0].ndim:
            own = [_of_element(kind) for kind in kinds]
            if loops.together == 1:
                return finish(_one_by_one(function, part, own, g))
            moves = [kind.group is not None for kind in own]
            return finish(over(again(function), moves, g, loops.together)(_turned(part, own)))
        moves = [(kind.batch is not None, kind.group is not None) for kind in kinds]
        both, arrays = (len(part[0]), g), _turned(part, kinds)
        one = again(function)
        return finish(over_both(one, arrays, moves, both, loops.together, loops.groups_first))

    return over_batch(some, leaves, mapped, b, loops.few)


def _of_element(kind: Kind) -> Kind:
    """Returns the axes without the batch axis, which is the first."""
    if kind.batch is None or kind.group is None:
        return kind._replace(batch=None)
    return kind._replace(batch=None, group=kind.group - 1)


def _turned(leaves: Sequence[Any], kinds: Sequence[Kind]) -> list[Any]:
    """The axis of groups first, or after that of the batch."""
    turn = lambda x, kind: jnp.moveaxis(x, kind.group, 0 if kind.batch is None else 1)
    return [
        x if kind.group is None else turn(x, kind) for x, kind in zip(leaves, kinds, strict=True)
    ]


def _one_by_one(function: Function, leaves: Sequence[Any], kinds: Sequence[Kind], g: int) -> Any:
    """A loop over the groups of one batch element."""
    scanned = [kind.is_scanned and kind.group is not None for kind in kinds]

    @again
    def one(chosen: list[Any]) -> Any:
        group, *rest = chosen
        left = iter(rest)
        return function(
            [
                next(left) if flag else _part(x, kind, None, group)
                for x, kind, flag in zip(leaves, kinds, scanned, strict=True)
            ]
        )

    turned = [x for x, flag in zip(_turned(leaves, kinds), scanned, strict=True) if flag]
    return over(one, [True] * (1 + len(turned)), g, 1)([jnp.arange(g), *turned])


def _part(array: Any, kind: Kind, element: Any, group: Any) -> Any:
    """Returns the part of an array that belongs to one problem."""
    for axis, index in ((kind.group, group), (kind.batch, element)):  # The last axis first.
        if axis is not None:
            array = lax.dynamic_index_in_dim(array, index, axis, keepdims=False)
    return array


def filled(
    function: Function, leaves: Sequence[Any], kinds: Sequence[Kind], sizes: tuple[int, int]
) -> Any:
    """The results [t ...] of all problems as [b t g ...], each put in its place when it is found.

    For what no transpose is taken of.
    """
    b, g = sizes

    def one(*place: Any) -> Any:
        return function([_part(x, kind, *place) for x, kind in zip(leaves, kinds, strict=True)])

    def step(found: Any, number: Any) -> tuple[Any, None]:
        element, group = number // g, number % g

        def put(every: Any, own: Any) -> Any:
            place = (element, 0, group, *[0] * (own.ndim - 1))
            return lax.dynamic_update_slice(every, own[None, :, None], place)

        return jax.tree.map(put, found, one(element, group)), None

    empty = lambda x: jnp.zeros((b, x.shape[0], g, *x.shape[1:]), x.dtype)
    numbers = jnp.arange(b * g)
    shapes = jax.eval_shape(one, *[jax.ShapeDtypeStruct((), numbers.dtype)] * 2)
    return lax.scan(step, varying_as(jax.tree.map(empty, shapes), leaves), numbers)[0]
