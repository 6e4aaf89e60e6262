"""One function of a head, applied to all batch elements and heads: at once, or one after the other.

`jax.vmap` is the map that partitions under every sharding and fills an accelerator. On a single
CPU device, loops keep the numbers of one head in the cache, and are faster for large heads.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

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


class Loops(NamedTuple):
    """Axes that are looped over: none, those of the batch, or those of the batch and of groups."""

    batch: bool = False
    groups: bool = False


def over_heads(
    function: Head, tree: Any, axes: Any, loops: Loops, linear: bool = False, out: int = 1
) -> Any:
    """Maps `function(*tree)`, of the arrays of a head, over groups and batch.

    The axes of the batch come first in the results, the axis of groups after `out` more of a head.

    Args:
        tree: a tuple of trees of arrays.
        axes: a tree of the same structure with `Axes` as leaves.
        loops: the axes that are looped over.
        linear: whether a transpose is taken of the map.
        out: number of axes of a result before that of groups.
    """
    leaves, structure = jax.tree.flatten(tree)
    if loops.batch:
        # What is computed anew for a derivative needs no memory in all steps of a loop.
        function = recompute(function) if linear else function
    mapped = lambda *leaves: function(*structure.unflatten(leaves))
    all_axes: list[Axes] = leaves_like(axes, tree)
    groups = [x.group for x in all_axes]
    if any(axis is not None for axis in groups):
        loop = (_loop if linear else _fill) if loops.groups else _at_once
        mapped = loop(mapped, groups, out)
    for number in reversed(range(max((len(x.batch) for x in all_axes), default=0))):
        batch = [0 if x.batch[number] else None for x in all_axes]
        if any(axis is not None for axis in batch):
            mapped = (_loop if loops.batch else _at_once)(mapped, batch, 0)
    return mapped(*aligned(leaves, all_axes))


def _at_once(function: Head, axes: list[int | None], out: int) -> Head:
    def mapped(*leaves: Any) -> Any:
        if _size(leaves, axes) == 1:
            return _alone(function, axes, out, leaves)
        return jax.vmap(function, axes, out)(*leaves)

    return mapped


def _loop(function: Head, axes: list[int | None], out: int) -> Head:
    """A loop that stacks its results, of which a transpose may be taken."""

    def mapped(*leaves: Any) -> Any:
        if _size(leaves, axes) == 1:
            return _alone(function, axes, out, leaves)
        pairs = zip(leaves, axes, strict=True)
        moving = [jnp.moveaxis(x, axis, 0) for x, axis in pairs if axis is not None]

        def step(chosen: list[Any]) -> Any:
            rest = iter(chosen)
            pairs = zip(leaves, axes, strict=True)
            return function(*[x if axis is None else next(rest) for x, axis in pairs])

        found = lax.map(recompute(step), moving)
        return jax.tree.map(lambda x: jnp.moveaxis(x, 0, out), found)

    return mapped


def _fill(function: Head, axes: list[int | None], out: int) -> Head:
    """A loop that looks arrays up where they lie and puts each result in its place.

    To turn them so that heads come first would write all of them once more, into memory that is
    new at every call. The transpose of a look-up goes over the whole array for each.
    """

    def mapped(*leaves: Any) -> Any:
        size = _size(leaves, axes)
        if size == 1:
            return _alone(function, axes, out, leaves)

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


def _alone(function: Head, axes: list[int | None], out: int, leaves: Any) -> Any:
    """An axis of size one is left out: XLA would copy an array that has it."""
    pairs = zip(leaves, axes, strict=True)
    found = function(*[x if axis is None else jnp.squeeze(x, axis) for x, axis in pairs])
    return jax.tree.map(lambda x: jnp.expand_dims(x, out), found)


def _size(leaves: Any, axes: list[int | None]) -> Any:
    sizes = [x.shape[axis] for x, axis in zip(leaves, axes, strict=True) if axis is not None]
    return sizes[0]


def aligned(leaves: list[Any], axes: list[Axes]) -> list[Any]:
    """Shards what goes with an axis as the first array that has it, where meshes are explicit."""
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or not any(kind == jax.sharding.AxisType.Explicit for kind in mesh.axis_types):
        return leaves
    found: dict[int, Any] = {}
    for leaf, own in zip(leaves, axes, strict=True):
        for number, axis in _numbered(own):
            found.setdefault(number, jax.typeof(leaf).sharding.spec[axis])
    out = []
    for leaf, own in zip(leaves, axes, strict=True):
        spec = list(jax.typeof(leaf).sharding.spec)
        for number, axis in _numbered(own):
            spec[axis] = found[number]
        spec = jax.sharding.PartitionSpec(*spec)
        same = spec == jax.typeof(leaf).sharding.spec
        out.append(leaf if same else jax.sharding.reshard(leaf, spec))
    return out


def _numbered(axes: Axes) -> list[tuple[int, int]]:
    """The axes of the batch and of groups, -1, each with its number in the array."""
    batch = [number for number, has in enumerate(axes.batch) if has]
    found = [(number, place) for place, number in enumerate(batch)]
    return found if axes.group is None else [*found, (-1, axes.group + len(batch))]


def leaves_like(prefix: Any, tree: Any) -> list[Any]:
    """Returns a leaf for each leaf of `tree`, of which `prefix` is the upper part."""
    spread = lambda leaf, part: jax.tree.map(lambda _: leaf, part)
    return jax.tree.leaves(jax.tree.map(spread, prefix, tree))


class Way(NamedTuple):
    """The runs of tiles of each head, and the loops over heads."""

    runs: tuple[Any, ...]
    loops: Loops


class Ways(NamedTuple):
    """The way on one CPU device, and that on other platforms and on several devices."""

    on_cpu: Way
    elsewhere: Way

    def run(self, function: Callable[..., Any], tree: Any, axes: Any, **options: Any) -> Any:
        """Maps `function(runs, *tree)` of a head over all heads, as the platform asks for."""

        def by(way: Way, *tree: Any) -> Any:
            return over_heads(partial(function, way.runs), tree, axes, way.loops, **options)

        if self.on_cpu == self.elsewhere:
            return by(self.elsewhere, *tree)
        ways = {"cpu": partial(by, self.on_cpu), "default": partial(by, self.elsewhere)}
        return lax.platform_dependent(*tree, **ways)
