"""A third-party kernel for a value and its gradient, and jattn's own code for other derivatives.

Kernels come with a backward pass of their own, as `jax.custom_vjp`. JAX then refuses forward mode
and second derivatives. This primitive runs the kernel for the value and for the first reverse
derivative. Every other derivative is that of jattn's own function of the same arrays, which has the
same values up to rounding.
"""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import jet
from jax.extend.core import Primitive, jaxpr_as_fun
from jax.interpreters import ad, batching, mlir

from jattn.engine.moving import of_moving, those_moving

Arrays = list[Any]
Mapped = tuple[int | None, ...]  # The axis of each array that `jax.vmap` maps; None for no axis.


@dataclasses.dataclass(frozen=True, repr=False)
class Handed:
    """A function of arrays, from a flat list to another, by the kernel where it can.

    Attributes:
        kernel: maps the arrays to the output; it has a gradient.
        own: the same by jattn; it has every derivative.
        moves: which of the arrays are differentiated.
        role: `value`, `followed`, or of more arrays `change` or `pullback`.
        inner: axes that are mapped in the function, the innermost first.
        outer: axes that are mapped in its derivative, if `role` is `change` or `pullback`.
    """

    kernel: Callable[..., Any]
    own: Callable[..., Any]
    moves: tuple[bool, ...]
    role: Callable[..., Arrays]
    inner: tuple[Mapped, ...] = ()
    outer: tuple[Mapped, ...] = ()

    def __call__(self, *arrays: Any) -> Arrays:
        jaxpr = jax.make_jaxpr(self.fast)(*arrays)
        return handed_over.bind(*arrays, of=self, jaxpr=jaxpr)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.role.__name__})"

    def fast(self, *arrays: Any) -> Arrays:
        """Computes it by the kernel; a change, which no kernel has, by jattn's function."""
        return self._by(self.own if self.role is change else self.kernel, arrays)

    def exact(self, *arrays: Any) -> Arrays:
        """Computes it by jattn's function, whose rules JAX has."""
        return self._by(self.own, arrays)

    def _by(self, function: Callable[..., Any], arrays: Sequence[Any]) -> Arrays:
        for axes in self.inner:
            function = jax.vmap(function, axes)
        body = partial(self.role, function, self.moves)
        for axes in self.outer:
            body = jax.vmap(body, axes)
        return body(*arrays)


def value(function: Callable[..., Any], moves: Sequence[bool], *arrays: Any) -> Arrays:
    return [function(*arrays)]


def followed(function: Callable[..., Any], moves: Sequence[bool], *arrays: Any) -> Arrays:
    """The value, computed as for a gradient, so that XLA merges this forward pass with that of
    `pullback`."""
    return [jax.vjp(of_moving(function, arrays, moves), *those_moving(arrays, moves))[0]]


def change(function: Callable[..., Any], moves: Sequence[bool], *arrays: Any) -> Arrays:
    """The change of the value, linear in the changes of the arrays that move."""
    primals, changes = arrays[: len(moves)], arrays[len(moves) :]
    moving = of_moving(function, primals, moves)
    return [jax.jvp(moving, those_moving(primals, moves), list(changes))[1]]


def pullback(function: Callable[..., Any], moves: Sequence[bool], *arrays: Any) -> Arrays:
    """The gradient for a cotangent of the value, the transpose of `change`."""
    *primals, cotangent = arrays
    moving = of_moving(function, primals, moves)
    return list(jax.vjp(moving, *those_moving(primals, moves))[1](cotangent))


VALUES = (value, followed)


def _jvp(primals: Any, tangents: Any, *, of: Handed, jaxpr: Any) -> tuple[Arrays, Arrays]:
    if of.role in VALUES:
        changes = [ad.instantiate_zeros(x) for x in those_moving(tangents, of.moves)]
        result, moved = (dataclasses.replace(of, role=role) for role in (followed, change))
        return result(*primals), moved(*primals, *changes)
    moves = [not isinstance(x, ad.Zero) for x in tangents]
    moving = of_moving(of.exact, primals, moves)
    return jax.jvp(moving, those_moving(primals, moves), those_moving(tangents, moves))


def _transpose(cotangents: Any, *arrays: Any, of: Handed, jaxpr: Any) -> Arrays:
    cotangents = [ad.instantiate_zeros(x) for x in cotangents]
    moves, count = [ad.is_undefined_primal(x) for x in arrays], len(of.moves)
    if of.role is change and not of.outer and not any(moves[:count]):
        found = dataclasses.replace(of, role=pullback)(*arrays[:count], *cotangents)
        return [None] * count + [
            x if m else None for x, m in zip(found, moves[count:], strict=True)
        ]
    like = [x.aval for x in those_moving(arrays, moves)]
    moving = of_moving(of.exact, arrays, moves)
    found = iter(jax.linear_transpose(moving, *like)(cotangents))
    return [next(found) if m else None for m in moves]


def _batched(arrays: Any, places: Any, *, of: Handed, jaxpr: Any) -> tuple[Arrays, list[int]]:
    pairs = zip(arrays, places, strict=True)
    arrays = [x if place is None else jnp.moveaxis(x, place, 0) for x, place in pairs]
    axes = tuple(None if place is None else 0 for place in places)
    field = "inner" if of.role in VALUES else "outer"
    mapped = dataclasses.replace(of, **{field: (*getattr(of, field), axes)})
    results = mapped(*arrays)
    return results, [0] * len(results)


def _series(primals: Any, series: Any, *, of: Handed, jaxpr: Any) -> Any:
    moves = [jnp.issubdtype(x.dtype, jnp.floating) for x in primals]
    moving = of_moving(of.exact, primals, moves)
    terms = those_moving(series, moves)
    return jet.jet(moving, those_moving(primals, moves), terms, factorial_scaled=False)


def _computed(*arrays: Any, of: Handed, jaxpr: Any) -> Arrays:
    return jaxpr_as_fun(jaxpr)(*arrays)


handed_over = Primitive("handed_over")
handed_over.multiple_results = True
handed_over.def_impl(_computed)
handed_over.def_abstract_eval(lambda *arrays, of, jaxpr: jaxpr.out_avals)
ad.primitive_jvps[handed_over] = _jvp
ad.primitive_transposes[handed_over] = _transpose
batching.primitive_batchers[handed_over] = _batched
mlir.register_lowering(handed_over, mlir.lower_fun(_computed))
jet.jet_rules[handed_over] = _series
