"""Functions exported with symbolic batch, queries and keys give what direct calls give."""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from test_export import with_gradient

import jattn
from jattn import masks
from jattn._axes import forms_of_arguments
from jattn.catalog.row import CaseCall

SIZES = ({"b": 2, "t": 3, "s": 5}, {"b": 3, "t": 7, "s": 11})
Arguments = dict[str, Any]  # Arrays or parameters by name.


def symbols() -> dict[str, Any]:
    """Returns a symbol for each size; those of two calls do not mix."""
    return dict(zip("bts", jax.export.symbolic_shape("b, t, s"), strict=True))


def check(
    function: Callable[..., Any],
    arguments: Callable[[Mapping[str, int]], Arguments],
    axes: Callable[[str, int], list[str]],
) -> None:
    """Asserts that a function exported once gives what it gives directly at each of `SIZES`.

    Args:
        arguments: returns the arguments for these sizes.
        axes: returns the letters of an argument's axes; without any, its sizes are numbers.
    """
    opened = symbols()

    def shape_of(name: str, leaf: Any) -> Any:
        letters = axes(name, leaf.ndim) or [""] * leaf.ndim
        shape = [opened.get(letter, n) for letter, n in zip(letters, leaf.shape, strict=True)]
        return jax.ShapeDtypeStruct(shape, leaf.dtype)

    first = arguments(SIZES[0])
    shapes = {name: jax.tree.map(partial(shape_of, name), tree) for name, tree in first.items()}
    exported = jax.export.export(jax.jit(function))(*shapes.values())
    for sizes in SIZES:
        inputs = arguments(sizes).values()
        expected, found = jax.jit(function)(*inputs), exported.call(*inputs)
        for one, other in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
            np.testing.assert_allclose(other, one, rtol=0, atol=1e-12 * max(np.abs(one).max(), 1))


def test_a_mechanism_and_its_gradient(call):
    """Each case of the catalog, mapped over a batch of all arguments except the parameters."""
    row, options = call.mechanism, call.case.options
    fixed = [name for name, option in options.items() if isinstance(option, np.ndarray)]
    names = [*call._drawn_names, *fixed, *row.draw]
    batched = [None if name == "params" else 0 for name in names]
    forms = forms_of_arguments(row.function)

    def axes(name: str, rank: int) -> list[str]:
        if name == "params":
            return []
        return ["b", *next(form.axes for form in forms[name] if len(form.axes) == rank - 1)]

    def element(sizes: Mapping[str, int], seed: int) -> Arguments:
        sizes = {axis: size for axis, size in sizes.items() if axis != "b"}
        case = dataclasses.replace(call.case, sizes={**call.case.sizes, **sizes})
        drawn, rng = CaseCall(row, case), np.random.default_rng(seed)
        found = dict(zip(drawn._drawn_names, drawn.inputs(seed), strict=True))
        for name in fixed:
            shape = [drawn.sizes[letter] for letter in axes(name, options[name].ndim + 1)[1:]]
            found[name] = np.resize(options[name], shape)
        return found | {name: draw(rng, drawn.sizes) for name, draw in row.draw.items()}

    def arguments(sizes: Mapping[str, int]) -> Arguments:
        elements = [element(sizes, seed) for seed in range(sizes["b"])]
        stack = lambda *leaves: np.stack(leaves)
        return {
            name: elements[0][name] if axis is None else jax.tree.map(stack, *(x[name] for x in elements))
            for name, axis in zip(names, batched, strict=True)
        }

    def one(*inputs: Any) -> Any:
        given = dict(zip(names, inputs, strict=True))
        case = dataclasses.replace(call.case, options={**options, **{n: given[n] for n in fixed}})
        draw = {name: lambda *_, name=name: given[name] for name in row.draw}
        drawn = (given[name] for name in call._drawn_names)
        return CaseCall(dataclasses.replace(row, draw=draw), case).function(*drawn)

    check(with_gradient(jax.vmap(one, batched)), arguments, axes)
