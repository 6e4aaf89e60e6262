"""Sums over arrays that circulate around a ring of devices, with derivatives of every order.

A sum over the steps of a ring is a primitive of JAX with rules of its own. JAX's rule for the
transpose of a loop would store the arrays of all devices. Here the derivative and the transpose
are sums over a ring again: arrays circulate once more, and cotangents of theirs travel with them
until they are home.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import Primitive, jaxpr_as_fun
from jax.interpreters import ad, batching, mlir

from jattn._varying import varying_as
from jattn.engine.moving import of_moving, those_moving

Arrays = list[Any]
# Maps the number of the step, arrays that stay and arrays that circulate to terms of sums that stay
# and of sums that travel with the arrays.
Step = Callable[[Any, Arrays, Arrays], tuple[Arrays, Arrays]]


class Ring(NamedTuple):
    """Devices along a mesh axis, each of which sends to the next."""

    axis_name: str
    devices: int

    def sent(self, tree: Any, steps: int) -> Any:
        """Returns the arrays of the device so many steps back."""
        if not steps % self.devices:
            return tree
        pairs = [(i, (i + steps) % self.devices) for i in range(self.devices)]
        return jax.tree.map(lambda x: lax.ppermute(x, self.axis_name, pairs), tree)

    def tour(
        self, run: "Run", visit: Callable[[Any, Any, Any], tuple[Any, Any]], moving: Any, still: Any
    ) -> tuple[Any, Any]:
        """Calls `visit(number, moving, still)` for each step of a run; it returns both anew."""
        if run.count == 1:
            return visit(np.int32(run.first), self.sent(moving, run.first), still)

        def step(state: tuple[Any, Any], number: Any) -> tuple[tuple[Any, Any], None]:
            moving, still = state
            return visit(number, self.sent(moving, 1), still), None

        numbers = jnp.arange(run.first, run.first + run.count, dtype=np.int32)
        start = varying_as((self.sent(moving, run.first - 1), still))
        return lax.scan(step, start, numbers)[0]


class Run(NamedTuple):
    """Steps of a ring, one after the other; arrays have moved as many steps in the first."""

    first: int
    count: int


@dataclasses.dataclass(frozen=True)
class Circulation:
    """Sums of a step's terms over a run, a function of flat lists of arrays.

    Attributes:
        staying: number of arrays that stay on their device; they come first.
        sums: number of sums that stay; they come first.
    """

    step: Step
    ring: Ring
    run: Run
    staying: int
    sums: int

    def __call__(self, *arrays: Any) -> Arrays:
        jaxpr = jax.make_jaxpr(self.by)(*arrays)
        return circulation.bind(*arrays, of=self, jaxpr=jaxpr)

    def __repr__(self) -> str:
        return type(self).__name__

    def by(self, *arrays: Any) -> Arrays:
        """Computes the sums by functions whose rules JAX has."""
        held, home = list(arrays[: self.staying]), list(arrays[self.staying :])
        last = self.run.first + self.run.count - 1
        if self.run.count == 1:
            sums, owed = self.step(np.int32(last), held, self.ring.sent(home, last))
            return [*sums, *self.ring.sent(owed, -last)]

        jaxpr = jax.make_jaxpr(self.flat)(np.int32(last), *arrays)

        def visit(number: Any, moving: Any, sums: Any) -> tuple[Any, Any]:
            circulating, owed = moving
            terms = jaxpr_as_fun(jaxpr)(number, *held, *circulating)
            owed = _added(owed, terms[self.sums :])
            return (circulating, owed), _added(sums, terms[: self.sums])

        zeros = varying_as([jnp.zeros(x.shape, x.dtype) for x in jaxpr.out_avals], arrays)
        moving, sums = (home, zeros[self.sums :]), zeros[: self.sums]
        (_, owed), sums = self.ring.tour(self.run, visit, moving, sums)
        return [*sums, *self.ring.sent(owed, -last)]

    def flat(self, number: Any, *arrays: Any) -> Arrays:
        """Returns all terms of a step in one list."""
        sums, owed = self.step(number, list(arrays[: self.staying]), list(arrays[self.staying :]))
        return [*sums, *owed]

    def derived(self, step: Step, held: Arrays, home: Arrays, sums: int) -> Arrays:
        """Returns the sums of another step's terms over the same run."""
        of = dataclasses.replace(self, step=step, staying=len(held), sums=sums)
        return of(*held, *home)


def circulate(
    step: Callable[[Any, Any, Any], Any], ring: Ring, run: Run, held: Any, home: Any
) -> Any:
    """Returns the sum of `step(number, held, home's arrays that arrive)`, a tree, over a run.

    The step may read no other arrays, and communicates with no other device.
    """
    held_leaves, held_structure = jax.tree.flatten(held)
    leaves, structure = jax.tree.flatten(home)
    of_result = jax.tree.structure(jax.eval_shape(step, np.int32(run.first), held, home))

    def flat(number: Any, held: Arrays, moving: Arrays) -> tuple[Arrays, Arrays]:
        result = step(number, held_structure.unflatten(held), structure.unflatten(moving))
        return jax.tree.leaves(result), []

    of = Circulation(flat, ring, run, len(held_leaves), of_result.num_leaves)
    return of_result.unflatten(of(*held_leaves, *leaves))


def _jvp(primals: Any, tangents: Any, *, of: Circulation, jaxpr: Any) -> tuple[Arrays, Arrays]:
    results = circulation.bind(*primals, of=of, jaxpr=jaxpr)
    moves = [not isinstance(x, ad.Zero) for x in tangents]
    count, split = len(primals), of.staying

    def step(number: Any, held: Arrays, moving: Arrays) -> tuple[Arrays, Arrays]:
        arrays = [*held[:split], *moving[: count - split]]
        changes = [*held[split:], *moving[count - split :]]
        function = of_moving(partial(of.flat, number), arrays, moves)
        change = jax.jvp(function, those_moving(arrays, moves), changes)[1]
        return change[: of.sums], change[of.sums :]

    held, home = _joined(primals, those_moving(tangents, moves), moves, split)
    return results, of.derived(step, held, home, of.sums)


def _transpose(cotangents: Any, *arrays: Any, of: Circulation, jaxpr: Any) -> Arrays:
    moves, split = [ad.is_undefined_primal(x) for x in arrays], of.staying
    known = those_moving(arrays, [not x for x in moves])
    like = [x.aval for x in those_moving(arrays, moves)]
    staying, linear = split - sum(moves[:split]), sum(moves[:split])
    cotangents = [ad.instantiate_zeros(x) for x in cotangents]

    def step(number: Any, held: Arrays, moving: Arrays) -> tuple[Arrays, Arrays]:
        others = iter([*held[:staying], *moving[: len(known) - staying]])
        full = [None if m else next(others) for m in moves]
        function = of_moving(partial(of.flat, number), full, moves)
        terms = [*held[staying:], *moving[len(known) - staying :]]
        found = list(jax.linear_transpose(function, *like)(terms))
        return found[:linear], found[linear:]

    held = [*known[:staying], *cotangents[: of.sums]]
    home = [*known[staying:], *cotangents[of.sums :]]
    found = iter(of.derived(step, held, home, linear))
    return [next(found) if m else None for m in moves]


def _batched(arrays: Any, places: Any, *, of: Circulation, jaxpr: Any) -> tuple[Arrays, list[int]]:
    pairs = zip(arrays, places, strict=True)
    arrays = [x if place is None else jnp.moveaxis(x, place, 0) for x, place in pairs]
    axes = [None if place is None else 0 for place in places]
    axes = None, axes[: of.staying], axes[of.staying :]
    results = dataclasses.replace(of, step=jax.vmap(of.step, axes))(*arrays)
    return results, [0] * len(results)


def _joined(primals: Any, changes: Arrays, moves: list[bool], split: int) -> tuple[Arrays, Arrays]:
    """Returns arrays that stay and that circulate, each followed by its changes."""
    own = sum(moves[:split])
    return [*primals[:split], *changes[:own]], [*primals[split:], *changes[own:]]


def _added(left: Arrays, right: Arrays) -> Arrays:
    return [x + y for x, y in zip(left, right, strict=True)]


def _run(*arrays: Any, of: Circulation, jaxpr: Any) -> Arrays:
    return jaxpr_as_fun(jaxpr)(*arrays)


circulation = Primitive("circulation")
circulation.multiple_results = True
circulation.def_impl(_run)
circulation.def_abstract_eval(lambda *arrays, of, jaxpr: jaxpr.out_avals)
ad.primitive_jvps[circulation] = _jvp
ad.primitive_transposes[circulation] = _transpose
batching.primitive_batchers[circulation] = _batched
mlir.register_lowering(circulation, mlir.lower_fun(_run))
