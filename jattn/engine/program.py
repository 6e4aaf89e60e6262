"""Attention of all heads as one primitive of JAX, with rules of its own.

`jax.custom_jvp` has a rule for derivatives alone. A primitive has more: `jax.vmap` adds an axis to
the batch, so that its elements are looped over as those of a batch are; each platform gets its own
way when the program is lowered for it; and there is a Taylor series.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import jet
from jax.extend.core import Primitive, jaxpr_as_fun
from jax.interpreters import ad, batching, mlir
from jax.tree_util import treedef_tuple

from jattn.engine.block import read, tangent
from jattn.engine.moving import of_moving, those_moving
from jattn.engine.operands import Read, Settings
from jattn.engine.plan import Run
from jattn.engine.schedule import Axes, Loops, Way, Ways, over_heads, recompute
from jattn.engine.tiles import KEY_COLUMNS, OPERANDS, READ, over_tiles

Arrays = list[Any]


@dataclasses.dataclass(frozen=True, repr=False)
class Program:
    """A function of tiles, for all of all heads, from a flat list of arrays to another.

    Attributes:
        body: the function of a tile, called with `settings` and then as `over_tiles` says.
        roles: how arrays go along with a tile.
        structure: of the arrays: operands, what is hidden, what is visible, and the rest of `body`.
        axes: those of batch and groups that each array has.
        out: number of axes of a result before that of groups.
        is_derived: whether JAX's own rules take derivatives or transposes of it.
        is_pulled: whether this is the transpose of a body that is linear in the last operands:
            cotangents of its results are in their place, and the results are their cotangents.
    """

    body: Callable[..., Any]
    roles: tuple[Any, ...]
    settings: Settings
    ways: Ways
    structure: Any
    axes: tuple[Axes, ...]
    out: int = 1
    is_derived: bool = False
    is_pulled: bool = False

    def __call__(self, *arrays: Any) -> Arrays:
        jaxpr = jax.make_jaxpr(partial(self.by, self.ways.here))(*arrays)
        return attention.bind(*arrays, of=self, jaxpr=jaxpr)

    def __repr__(self) -> str:
        return type(self).__name__

    @property
    def operands(self) -> int:
        """The number of operands' arrays; they come first, and their changes last."""
        return self.structure.children()[0].num_leaves

    @partial(jax.jit, static_argnums=(0, 1))
    def by(self, way: Way, *arrays: Any) -> Arrays:
        """Computes it in one way."""
        if self.is_pulled:
            return self._pulled(way, *arrays)
        body = partial(self.body, self.settings)
        body = recompute(body) if self.is_derived else body
        function = partial(over_tiles, body, self.roles, way.runs, self.structure)
        options = {"is_derived": self.is_derived, "out": self.out}
        return jax.tree.leaves(over_heads(function, self.axes, way.loops, *arrays, **options))

    def anywhere(self, *arrays: Any) -> Arrays:
        """Computes it as the platform asks for, by functions whose rules JAX has."""
        here, elsewhere = (partial(self.by, way) for way in self.ways)
        if self.ways.here == self.ways.elsewhere:
            return here(*arrays)
        return lax.platform_dependent(*arrays, cpu=here, default=elsewhere)

    def _pulled(self, way: Way, *arrays: Any) -> Arrays:
        count, known = self.operands, arrays[: -len(Read._fields)]
        # The shapes of the changes; their numbers are not used.
        like = [
            _widened(x, own, wanted, self._batch(arrays))
            for x, own, wanted in zip(known, self.axes, self.axes[-count:], strict=False)
        ]
        # Computed anew for a derivative: nothing is kept but what comes in here.
        forward = recompute(partial(dataclasses.replace(self, is_pulled=False).by, way))
        change = jax.linear_transpose(lambda *changes: forward(*known, *changes), *like)
        return list(change(list(arrays[len(known) :])))

    def _batch(self, arrays: Any) -> list[int]:
        """The sizes of the batch."""
        pairs = list(zip(self.axes, arrays, strict=False))
        size = lambda number: next(
            x.shape[axes.place(number)] for axes, x in pairs if axes.batch[number]
        )
        return [size(number) for number in range(len(self.axes[0].batch))]


def _widened(array: Any, own: Axes, wanted: Axes, sizes: list[int]) -> Any:
    """The array repeated along the axes of the batch that it has not."""
    for number, size in enumerate(sizes):
        if wanted.batch[number] and not own.batch[number]:
            place = sum(wanted.batch[:number])
            array = jnp.repeat(jnp.expand_dims(array, place), size, place)
    return array


def tangent_of(program: Program) -> Program:
    """The derivative of `read`: of its arrays, its results and the changes of operands."""
    operands, hidden, visible = program.structure.children()
    result = jax.tree.structure(READ)
    structure = treedef_tuple((operands, hidden, visible, result, operands))
    of_result = (Axes((True,) * len(program.axes[0].batch), 1),) * len(READ)
    return dataclasses.replace(
        program,
        body=tangent,
        roles=(OPERANDS, KEY_COLUMNS, READ, OPERANDS),
        structure=structure,
        axes=(*program.axes, *of_result, *program.axes[: program.operands]),
        is_derived=True,
    )


def _jvp(primals: Any, tangents: Any, *, of: Program, jaxpr: Any) -> tuple[Arrays, Arrays]:
    if of.body is read:
        results = attention.bind(*primals, of=of, jaxpr=jaxpr)
        changes = [ad.instantiate_zeros(x) for x in tangents[: of.operands]]
        return results, tangent_of(of)(*primals, *results, *changes)
    moves = [not isinstance(x, ad.Zero) for x in tangents]
    function = of_moving(of.anywhere, primals, moves)
    return jax.jvp(function, those_moving(primals, moves), those_moving(tangents, moves))


def _transpose(cotangents: Any, *arrays: Any, of: Program, jaxpr: Any) -> Arrays:
    cotangents = [ad.instantiate_zeros(x) for x in cotangents]
    moves = [ad.is_undefined_primal(x) for x in arrays]
    first = len(arrays) - of.operands
    if of.body is tangent and not of.is_pulled and not any(moves[:first]):
        found = dataclasses.replace(of, is_pulled=True)(*arrays[:first], *cotangents)
        found = [None] * first + found
        return [x if m else None for x, m in zip(found, moves, strict=True)]
    function = of_moving(of.anywhere, arrays, moves)
    moving = [x.aval for x in those_moving(arrays, moves)]
    found = iter(jax.linear_transpose(function, *moving)(cotangents))
    return [next(found) if m else None for m in moves]


def _batched(arrays: Any, places: Any, *, of: Program, jaxpr: Any) -> tuple[Arrays, list[int]]:
    """Another axis of the batch."""
    has = [i is not None for i in places]
    pairs = zip(arrays, places, strict=True)
    arrays = [x if i is None else jnp.moveaxis(x, i, 0) for x, i in pairs]
    first = len(arrays) - (len(Read._fields) if of.is_pulled else of.operands)
    if of.body is tangent and not any(has[:first]):
        # Directions of the same derivative: what does not depend on them is computed once.
        results = jax.vmap(of.anywhere, [0 if x else None for x in has])(*arrays)
        return results, [0] * len(results)
    if of.is_pulled:  # Each element has cotangents of its own, and so are the results.
        size = next(x.shape[0] for x, own in zip(arrays, has, strict=True) if own)
        pairs = zip(arrays[first:], has[first:], strict=True)
        arrays[first:] = [x if own else jnp.repeat(x[None], size, 0) for x, own in pairs]
        has[first:] = [True] * (len(of.axes) - first)
    axes = tuple(Axes((x, *own.batch), own.group) for x, own in zip(has, of.axes, strict=True))
    results = dataclasses.replace(of, axes=axes)(*arrays)
    return results, [0] * len(results)


def _series(primals: Any, series: Any, *, of: Program, jaxpr: Any) -> Any:
    """A Taylor series of all queries and keys at once: `jet` has no rule for loops."""
    t, s = (x.shape[sum(own.batch)] for x, own in zip(primals[:2], of.axes, strict=False))
    way = Way((Run(0, t, 1, 0, s),), Loops())
    moves = [jnp.issubdtype(x.dtype, jnp.floating) for x in primals]
    function = of_moving(partial(of.by, way), primals, moves)
    terms = those_moving(series, moves)
    return jet.jet(function, those_moving(primals, moves), terms, factorial_scaled=False)


def _here(*arrays: Any, of: Program, jaxpr: Any) -> Arrays:
    return jaxpr_as_fun(jaxpr)(*arrays)


def _elsewhere(*arrays: Any, of: Program, jaxpr: Any) -> Arrays:
    if of.ways.here == of.ways.elsewhere:
        return jaxpr_as_fun(jaxpr)(*arrays)
    return of.by(of.ways.elsewhere, *arrays)


attention = Primitive("attention")
attention.multiple_results = True
attention.def_impl(_here)
attention.def_abstract_eval(lambda *arrays, of, jaxpr: jaxpr.out_avals)
ad.primitive_jvps[attention] = _jvp
ad.primitive_transposes[attention] = _transpose
batching.primitive_batchers[attention] = _batched
mlir.register_lowering(attention, mlir.lower_fun(_here), platform="cpu")
mlir.register_lowering(attention, mlir.lower_fun(_elsewhere))
jet.jet_rules[attention] = _series
