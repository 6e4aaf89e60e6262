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


def test_a_mechanism(hardest):
    """Mapped over a batch of all arguments except the parameters."""
    call = hardest
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


NUMBERS = {"h": 4, "g": 2, "k": 3, "v": 2, "d": 4, "one": 1}
QKV = {"query": "b t h k", "key": "b s g k", "value": "b s g v"}
LENGTHS = {"query_seq_lengths": "b", "key_value_seq_lengths": "b"}
# Options, and the axes of the arrays among them.
ATTENTION: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "plain": ({}, {}),
    "causal": ({"is_causal": True, "return_residual": True}, {}),
    "lengths": ({}, LENGTHS),
    "window": ({"local_window_size": (2, 1), "query_offset": 1}, {"key_value_seq_lengths": "b"}),
    "offset": ({"is_causal": True}, {"query_offset": "b"}),
    "bias": ({"logits_soft_cap": 2.0}, {"bias": "b h t s", "sinks": "h"}),
    "mask of batch": ({"return_weights": True}, {"mask": "b one t s"}),
    "mask of heads": ({"is_causal": True}, {"mask": "h t s", "bias": "t s"}),
    "chunks": ({"chunk_size": 2, "mask": masks.causal() & ~masks.blocks(3)}, {}),
    "dropout": ({"dropout_rate": 0.5, "dropout_rng": jax.random.key(0)}, {}),
    "everything": (
        {"is_causal": True, "local_window_size": (3, 3), "return_residual": True},
        {**LENGTHS, "mask": "b h t s", "bias": "t s", "sinks": "h", "scale": ""},
    ),
}


def arrays_of(letters: Mapping[str, str], sizes: Mapping[str, int]) -> Arguments:
    """Returns an array for each name: lengths and offsets, masks, and floats."""
    rng, sizes = np.random.default_rng(0), {**NUMBERS, **sizes}

    def array(name: str) -> Any:
        shape = [sizes[letter] for letter in letters[name].split()]
        if name == "mask":
            return rng.random(shape) < 0.7
        if name.endswith(("lengths", "offset", "length")):
            return rng.integers(0, sizes["t"], shape)
        return rng.integers(0, 7, shape) if name == "tokens" else rng.standard_normal(shape)

    return {name: array(name) for name in letters}


def check_arrays(function: Callable[..., Any], letters: Mapping[str, str]) -> None:
    """Checks a function of arrays by name, and its gradient."""
    run = lambda *arrays: function(**dict(zip(letters, arrays, strict=True)))
    check(
        with_gradient(run),
        lambda sizes: arrays_of(letters, sizes),
        lambda name, rank: letters[name].split(),
    )


@pytest.mark.parametrize("name", ATTENTION)
def test_dot_product_attention(name):
    options, arrays = ATTENTION[name]
    check_arrays(partial(jattn.dot_product_attention, **options), {**QKV, **arrays})
