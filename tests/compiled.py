"""Rows of the catalog chosen by their arguments, with other options, each compiled once."""

import dataclasses
import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, get_args, get_type_hints

import jax
import numpy as np
import pytest

from jattn._axes import forms_of_arguments
from jattn.catalog import MECHANISMS, CaseCall, Mechanism
from jattn.catalog.row import DRAWN
from jattn.testing.trees import draw_like, like

Tree = Any


class Leaf(NamedTuple):
    """A differentiable array of a call: its argument (and field) and its axes."""

    path: str
    axes: tuple[str, ...]

    @property
    def leading(self) -> str:
        return self.axes[0] if self.axes else ""

    @property
    def is_of_pairs(self) -> bool:
        """A number for each query and key, or head, query and key."""
        return self.axes[-2:] == ("t", "s")


class Evaluated(NamedTuple):
    """What a call returns, its gradient, and the derivatives of both along a direction."""

    output: Tree
    gradient: Tree
    tangent: Tree
    gradient_tangent: Tree


def takes(mechanism: Mechanism, *arguments: str) -> bool:
    return set(arguments) <= set(inspect.signature(mechanism.function).parameters)


def having(*arguments: str) -> list[Mechanism]:
    """The rows whose function takes all of these arguments."""
    return [mechanism for mechanism in MECHANISMS if takes(mechanism, *arguments)]


def representatives() -> list[Mechanism]:
    """The first row of each family, for what is too dear to be done for every row."""
    return list({row.family: row for row in reversed(MECHANISMS)}.values())


def each(name: str, rows: Iterable[Any]) -> pytest.MarkDecorator:
    """Parametrises a test over rows or calls."""
    return pytest.mark.parametrize(name, list(rows), ids=lambda row: row.name)


def with_options(call: CaseCall, **options: Any) -> CaseCall:
    case = dataclasses.replace(call.case, options={**call.case.options, **options})
    return CaseCall(call.mechanism, case)


def with_sizes(call: CaseCall, **sizes: int) -> CaseCall:
    case = dataclasses.replace(call.case, sizes={**call.case.sizes, **sizes})
    return CaseCall(call.mechanism, case)


def masked(mechanism: Mechanism) -> CaseCall:
    """The row's case with the most options among those that draw a bias, or else have a mask."""
    calls = mechanism.calls()
    drawn = [call for call in calls if call.case.options.get("bias") is DRAWN]
    cases = drawn or [call for call in calls if "mask" in call.case.options]
    return max(cases, key=lambda call: len(call.case.options))


def masked_calls() -> list[CaseCall]:
    """One call of each row that takes a mask, and the first row's with each other normalizer."""
    others = {}
    for mechanism in having("mask", "normalizer"):
        for call in mechanism.calls():
            others.setdefault(call.case.options.get("normalizer"), call)
    del others[None]
    return [
        *map(masked, having("mask")),
        *(with_options(call, bias=DRAWN) for call in others.values()),
    ]


def leaves_of(call: CaseCall) -> list[Leaf]:
    """The leaves of `call.inputs()`, in their order."""
    options, draw = call.case.options, call.mechanism.draw
    parameters = inspect.signature(call.mechanism.function).parameters
    found = []
    for path, forms in forms_of_arguments(call.mechanism.function).items():
        name = path.partition(".")[0]
        required = parameters[name].default is inspect.Parameter.empty
        drawn = name not in draw if required else options.get(name) is DRAWN
        if drawn and options.get(path, DRAWN) is DRAWN:
            found.append(Leaf(path, forms[0].axes))
    return found


def output_axes(call: CaseCall) -> list[tuple[str, ...]]:
    """The axes of the leaves of what `call` returns."""
    hint = get_type_hints(call.mechanism.function)["return"]
    hints = get_type_hints(hint).values() if hasattr(hint, "_fields") else [hint]
    return [tuple((get_args(h) or (h,))[0].dim_str.split()) for h in hints]


def change(call: CaseCall, inputs: Tree, edit: Callable[[Leaf, np.ndarray], Any]) -> Tree:
    """The inputs (or their gradient) with each leaf replaced by `edit(leaf, copy of the array)`."""
    arrays, structure = jax.tree.flatten(inputs)
    edited = [edit(leaf, np.array(a)) for leaf, a in zip(leaves_of(call), arrays, strict=True)]
    return jax.tree.unflatten(structure, edited)


def along_rows(values: np.ndarray, array: np.ndarray) -> np.ndarray:
    """A value for each row, in a shape that broadcasts with an array of as many rows."""
    return values.reshape(-1, *(1,) * (array.ndim - 1))


def cotangent_of(call: CaseCall, seed: int = 1) -> Tree:
    """A random cotangent, in the structure of what the call returns."""
    output = jax.eval_shape(call.function, *call.inputs())
    return like(output, draw_like(output, seed))


def cotangent_at(call: CaseCall, queries: Any) -> Tree:
    """The random cotangent where it belongs to one of `queries`, zero elsewhere."""
    arrays, structure = jax.tree.flatten(cotangent_of(call))
    kept = []
    for array, axes in zip(arrays, output_axes(call), strict=True):
        alone = np.zeros_like(array)
        where = tuple(queries if axis == "t" else slice(None) for axis in axes)
        alone[where] = array[where]
        kept.append(alone)
    return jax.tree.unflatten(structure, kept)


def evaluate(call: CaseCall, inputs: Tree, mask: Any, cotangent: Tree = None) -> Evaluated:
    """The value and the derivatives of a masked call, from one compiled function for each call."""
    way = (call.name, jax.jit)  # Some tests have another: see conftest.py.
    if way not in _compiled:
        _compiled[way] = jax.jit(_derivatives(call))
    cotangent = cotangent_of(call) if cotangent is None else cotangent
    result = _compiled[way](inputs, np.asarray(mask), cotangent, draw_like(inputs, 2))
    return jax.tree.map(np.asarray, result)


def assert_same_bits(actual: Tree, expected: Tree, what: str = "") -> None:
    """Raises AssertionError unless two trees hold the same bits; NaN equals nothing here."""
    wanted = jax.tree.leaves(expected)
    for (path, leaf), want in zip(jax.tree.leaves_with_path(actual), wanted, strict=True):
        leaf, want = np.asarray(leaf), np.asarray(want)
        assert leaf.dtype == want.dtype, f"{what} {jax.tree_util.keystr(path)}"
        assert np.array_equal(leaf, want), f"{what} {jax.tree_util.keystr(path)}\n{leaf}\n{want}"


_compiled: dict[tuple[str, Any], Callable[..., Evaluated]] = {}


def _derivatives(call: CaseCall) -> Callable[..., Evaluated]:
    def run(inputs, mask, cotangent, direction):
        def first(*inputs):
            output, pullback = jax.vjp(with_options(call, mask=mask).function, *inputs)
            return output, pullback(cotangent)

        (output, gradient), tangents = jax.jvp(first, inputs, direction)
        return Evaluated(output, gradient, *tangents)

    return run
