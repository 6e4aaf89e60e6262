"""One function of a head, applied to all batch elements and heads: at once, or one after the other.

`jax.vmap` is the map that partitions under every sharding and fills an accelerator. On a single
CPU device, loops keep the numbers of one head in the cache, and are faster for large heads.
"""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import PartitionSpec

from jattn._varying import varying_as

# Computed anew for a derivative.
recompute = partial(jax.checkpoint, prevent_cse=False)

Head = Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class Axes:
    """Axes of an array that a head has not: those of the batch in front, and that of groups.

    Attributes:
        batch: whether the array has each axis of the batch.
        group: number of the axis of groups without those of the batch; None if there is none.
    """

    batch: tuple[bool, ...]
    group: int | None

    def has(self, number: int) -> bool:
        """Whether the array has an axis of the batch, or that of groups, whose number is next."""
        return self.batch[number] if number < len(self.batch) else self.group is not None

    def place(self, number: int, gone: Sequence[int] = ()) -> int | None:
        """Returns the place of that axis in an array that has lost those `gone`."""
        if not self.has(number):
            return None
        before = sum(self.has(other) for other in range(len(self.batch)) if other < number)
        before -= sum(self.has(other) for other in gone if other < number)
        return before + (self.group or 0 if number == len(self.batch) else 0)


class Loops(NamedTuple):
    """Axes that are looped over: none, those of the batch, or those of the batch and of groups."""

    batch: int = 0  # Elements in a step, 0 for no loop; as many as there are need none.
    groups: bool = False


def over_heads(
    function: Head,
    axes: Sequence[Axes],
    loops: Loops,
    *arrays: Any,
    is_derived: bool = False,
    out: int = 1,
) -> Any:
    """Maps `function`, of the arrays of a head, over groups and batch.

    The axes of the batch come first in the results, the axis of groups after `out` more of a head.

    Args:
        axes: those of each array.
        loops: the axes that are looped over.
        is_derived: whether JAX's rules take derivatives or transposes of the map.
        out: number of axes of a result before that of groups.
    """
    leaves = aligned(list(arrays), axes)
    mapped = function
    lead, alone, maps, batch = len(axes[0].batch) if axes else 0, [], [], 1
    for number in range(lead + 1):
        places = [kind.place(number, alone) for kind in axes]
        sizes = [x.shape[i] for x, i in zip(leaves, places, strict=True) if i is not None]
        if sizes and sizes[0] == 1:
            # Left out: XLA would copy an array that has an axis of size one.
            pairs = zip(leaves, places, strict=True)
            leaves = [x if place is None else jnp.squeeze(x, place) for x, place in pairs]
            alone.append(number)
        elif sizes:
            maps.append(number)
            batch *= 1 if number == lead else sizes[0]
    loops = loops if loops.batch and batch > loops.batch else loops._replace(batch=0)
    if is_derived and any(loops):
        # What is computed anew for a derivative needs no memory in all steps of a loop.
        mapped = recompute(mapped)
    for number in reversed(maps):
        inner = [kind.group if number == lead else 0 for kind in axes]
        own = [i if kind.has(number) else None for i, kind in zip(inner, axes, strict=True)]
        if not (loops.groups if number == lead else loops.batch):
            at_once = _turned if is_derived else jax.vmap
            mapped = at_once(mapped, own, out if number == lead else 0)
        elif number == lead and not is_derived:
            mapped = _filled(mapped, own, out)
        else:
            few = loops.batch if number == lead - 1 else 1
            mapped = _looped(mapped, own, out if number == lead else 0, few)
    before = lambda number: sum(other < number for other in (*maps, *alone))
    places = [before(number) + (out if number == lead else 0) for number in alone]
    return jax.tree.map(lambda x: jnp.expand_dims(x, places), mapped(*leaves))


def _turned(function: Head, axes: list[int | None], out: int) -> Head:
    """`jax.vmap`, with arrays turned once and not for each product."""
    firsts = [None if axis is None else 0 for axis in axes]
    every = jax.vmap(function, firsts, out)

    def mapped(*leaves: Any) -> Any:
        pairs = zip(leaves, axes, strict=True)
        return every(*[x if not axis else jnp.moveaxis(x, axis, 0) for x, axis in pairs])

    return mapped


def _looped(function: Head, axes: list[int | None], out: int, few: int) -> Head:
    """A loop of `few` elements a step that stacks its results; a transpose may be taken of it."""

    def mapped(*leaves: Any) -> Any:
        pairs = zip(leaves, axes, strict=True)
        moving = [jnp.moveaxis(x, axis, 0) for x, axis in pairs if axis is not None]

        def step(chosen: list[Any]) -> Any:
            rest = iter(chosen)
            pairs = zip(leaves, axes, strict=True)
            return function(*[x if axis is None else next(rest) for x, axis in pairs])

        size = moving[0].shape[0]
        divisor = next(n for n in range(min(few, size), 0, -1) if size % n == 0)
        found = lax.map(recompute(step), moving, batch_size=divisor if divisor > 1 else None)
        return jax.tree.map(lambda x: jnp.moveaxis(x, 0, out), found)

    return mapped


def _filled(function: Head, axes: list[int | None], out: int) -> Head:
    """A loop that looks arrays up where they lie and puts each result in its place.

    To turn them so that heads come first would write all of them once more, into memory that is
    new at every call. The transpose of a look-up goes over the whole array for each.
    """

    def mapped(*leaves: Any) -> Any:
        size = next(x.shape[i] for x, i in zip(leaves, axes, strict=True) if i is not None)

        def one(number: Any) -> Any:
            pairs = zip(leaves, axes, strict=True)
            look_up = lambda x, axis: lax.dynamic_index_in_dim(x, number, axis, keepdims=False)
            return function(*[x if axis is None else look_up(x, axis) for x, axis in pairs])

        def step(found: Any, number: Any) -> tuple[Any, None]:
            put = lambda every, own: lax.dynamic_update_index_in_dim(every, own, number, out)
            return jax.tree.map(put, found, one(number)), None

        numbers = jnp.arange(size)
        shapes = jax.eval_shape(one, jax.ShapeDtypeStruct((), numbers.dtype))
        empty = lambda x: jnp.zeros((*x.shape[:out], size, *x.shape[out:]), x.dtype)
        return lax.scan(step, varying_as(jax.tree.map(empty, shapes), leaves), numbers)[0]

    return mapped


def aligned(leaves: list[Any], axes: Sequence[Axes]) -> list[Any]:
    """Shards what goes with an axis as the first array that has it, where meshes are explicit."""
    if not leaves or not jax.sharding.get_abstract_mesh().explicit_axes:
        return leaves
    specs = [list(jax.typeof(leaf).sharding.spec) for leaf in leaves]
    for number in range(len(axes[0].batch) + 1):
        places = [kind.place(number) for kind in axes]
        pairs = [(x, place) for x, place in zip(specs, places, strict=True) if place is not None]
        for spec, place in pairs:
            spec[place] = pairs[0][0][pairs[0][1]]
    pairs = [(x, PartitionSpec(*spec)) for x, spec in zip(leaves, specs, strict=True)]
    is_right = lambda x, spec: jax.typeof(x).sharding.spec == spec
    return [x if is_right(x, spec) else jax.sharding.reshard(x, spec) for x, spec in pairs]


def leaves_like(prefix: Any, tree: Any) -> list[Any]:
    """Returns a leaf for each leaf of `tree`, of which `prefix` is the upper part."""
    spread = lambda leaf, part: jax.tree.map(lambda _: leaf, part)
    return jax.tree.leaves(jax.tree.map(spread, prefix, tree))


class Way(NamedTuple):
    """The runs of tiles of each head, and the loops over heads."""

    runs: tuple[Any, ...]
    loops: Loops


class Ways(NamedTuple):
    """The way of this process, on one CPU device or not, and that of other platforms."""

    here: Way
    elsewhere: Way
