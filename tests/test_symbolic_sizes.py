"""Functions exported with symbolic batch, queries and keys give what direct calls give."""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import jax
import jax.export
import numpy as np
import pytest
from test_export import with_gradient

import jattn
from jattn import masks
from jattn._axes import forms_of_arguments
from jattn.catalog.row import CaseCall
from jattn.engine import banded, narrowed

SIZES = ({"b": 2, "t": 3, "s": 5}, {"b": 3, "t": 13, "s": 11})
Arguments = dict[str, Any]  # Arrays or parameters by name.


def symbols() -> dict[str, Any]:
    """Returns a symbol for each size; those of two calls do not mix."""
    return dict(zip("bts", jax.export.symbolic_shape("b, t, s"), strict=True))


def check(
    function: Callable[..., Any],
    arguments: Callable[[Mapping[str, int]], Arguments],
    axes: Callable[[str, int], list[str]],
    compared: Iterable[Mapping[str, int]] = SIZES,
) -> None:
    """Asserts that a function exported once gives what it gives directly at each of some sizes.

    Args:
        arguments: returns the arguments for these sizes.
        axes: returns the letters of an argument's axes; without any, its sizes are numbers.
        compared: these sizes.
    """
    opened = symbols()

    def shape_of(name: str, leaf: Any) -> Any:
        letters = axes(name, leaf.ndim) or [""] * leaf.ndim
        shape = [opened.get(letter, n) for letter, n in zip(letters, leaf.shape, strict=True)]
        return jax.ShapeDtypeStruct(shape, leaf.dtype)

    first = arguments(SIZES[0])
    shapes = {name: jax.tree.map(partial(shape_of, name), tree) for name, tree in first.items()}
    exported = jax.export.export(jax.jit(function))(*shapes.values())
    for sizes in compared:
        inputs = arguments(sizes).values()
        expected, found = jax.jit(function)(*inputs), exported.call(*inputs)
        for one, other in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
            np.testing.assert_allclose(other, one, rtol=0, atol=1e-12 * max(np.abs(one).max(), 1))


def test_a_mechanism(mechanism):
    """All rows of the catalog, mapped over a batch of all arguments that are arrays."""
    row, call = mechanism, mechanism.hardest()
    options = call.case.options
    fixed = [name for name, option in options.items() if isinstance(option, np.ndarray)]
    names = [*call.input_names, *fixed, *row.draw]
    forms = forms_of_arguments(row.function)
    batched = [0 if name in forms else None for name in names]

    def axes(name: str, rank: int) -> list[str]:
        if name not in forms:
            return []
        # A state's parts are the fields of its argument.
        parts = [forms[path] for path in forms if path.partition(".")[0] == name]
        return [
            "b",
            *next(form.axes for part in parts for form in part if len(form.axes) == rank - 1),
        ]

    def element(sizes: Mapping[str, int], seed: int) -> Arguments:
        sizes = {axis: size for axis, size in sizes.items() if axis != "b"}
        case = dataclasses.replace(call.case, sizes={**call.case.sizes, **sizes})
        drawn, rng = CaseCall(row, case), np.random.default_rng(seed)
        found = dict(zip(drawn.input_names, drawn.inputs(seed), strict=True))
        for name in fixed:
            shape = [drawn.sizes[letter] for letter in axes(name, options[name].ndim + 1)[1:]]
            found[name] = np.resize(options[name], shape)
        return found | {name: draw(rng, drawn.sizes) for name, draw in row.draw.items()}

    def arguments(sizes: Mapping[str, int]) -> Arguments:
        elements = [element(sizes, seed) for seed in range(sizes["b"])]
        stack = lambda *leaves: np.stack(leaves)
        return {
            name: elements[0][name]
            if axis is None
            else jax.tree.map(stack, *(x[name] for x in elements))
            for name, axis in zip(names, batched, strict=True)
        }

    def one(*inputs: Any) -> Any:
        given = dict(zip(names, inputs, strict=True))
        case = dataclasses.replace(call.case, options={**options, **{n: given[n] for n in fixed}})
        draw = {name: lambda *_, name=name: given[name] for name in row.draw}
        drawn = (given[name] for name in call.input_names)
        return CaseCall(dataclasses.replace(row, draw=draw), case).function(*drawn)

    value = jax.vmap(one, batched)
    # The rule for a derivative may compute the value in another way.
    check(
        lambda *inputs: (value(*inputs), with_gradient(value)(*inputs)), arguments, axes, SIZES[1:]
    )


NUMBERS = {"l": 20, "h": 4, "g": 2, "k": 3, "v": 2, "d": 4, "one": 1}
QKV = {"query": "b t h k", "key": "b s g k", "value": "b s g v"}
LENGTHS = {"query_seq_lengths": "b", "key_value_seq_lengths": "b"}
# Options, and the axes of the arrays among them.
ATTENTION: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "causal": ({"is_causal": True, "return_residual": True}, {}),
    "window": ({"local_window_size": (2, 1), "query_offset": 1}, LENGTHS),
    "offsets": ({"is_causal": True}, {"query_offset": "b"}),
    "weights": ({"return_weights": True, "logits_soft_cap": 2.0}, {"mask": "b one t s"}),
    "bias": ({"is_causal": True}, {"mask": "h t s", "bias": "b h t s", "sinks": "h"}),
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
            return rng.integers(0, min(sizes["t"], sizes["s"]), shape)
        return rng.integers(0, 7, shape) if name.endswith("tokens") else rng.standard_normal(shape)

    return {name: array(name) for name in letters}


def check_arrays(function: Callable[..., Any], letters: Mapping[str, str]) -> None:
    """Checks a function of arrays by name."""
    run = lambda *arrays: function(**dict(zip(letters, arrays, strict=True)))
    check(
        run,
        lambda sizes: arrays_of(letters, sizes),
        lambda name, rank: letters[name].split(),
    )


def attend_with_gradient(options: Mapping[str, Any], names: Iterable[str]) -> Callable[..., Any]:
    """Returns a function of arrays by name that returns the attention and its gradient."""
    run = lambda *arrays: jattn.dot_product_attention(
        **dict(zip(names, arrays, strict=True)), **options
    )
    return lambda **arrays: with_gradient(run)(*(arrays[name] for name in names))


@pytest.mark.parametrize("name", ATTENTION)
def test_dot_product_attention(name):
    options, arrays = ATTENTION[name]
    check_arrays(attend_with_gradient(options, {**QKV, **arrays}), {**QKV, **arrays})


@pytest.mark.parametrize("planner", [banded, narrowed])
def test_a_plan_of_a_symbolic_batch(planner):
    """Known queries and keys are divided into blocks as for any batch."""
    letters = {name: letters.replace("t", "l").replace("s", "l") for name, letters in QKV.items()}
    options = {"is_causal": True, "local_window_size": 5, "chunk_size": 8, "planner": planner}
    batch = symbols()["b"]
    shapes = [
        jax.ShapeDtypeStruct([{**NUMBERS, "b": batch}[x] for x in axes.split()], "float32")
        for axes in letters.values()
    ]
    assert jattn.engine.plan(*shapes, **options).name == planner.__name__
    check_arrays(attend_with_gradient(options, letters), letters)


KEY = jax.random.key(0)


def exported(function, *shapes):
    return jax.export.export(jax.jit(function))(*(jax.ShapeDtypeStruct(x, float) for x in shapes))


T, S = symbols()["t"], jax.export.symbolic_shape("s", constraints=["s <= 8"])[0]
NINE: Any = 9
MISTAKES = {
    "dot_attention: key has shape (t, 5), expected (s, k) with k=4 (from query)": lambda: exported(
        lambda query, key: jattn.dot_attention(query, key, key), (T, 4), (T, 5)
    ),
    "dot_attention: value has shape (2*t, 4), expected (s, v) with s=t (from key)": (
        lambda: exported(
            lambda query, value: jattn.dot_attention(query, query, value), (T, 4), (2 * T, 4)
        )
    ),
    "dot_product_attention: key_value_seq_lengths is 9, expected 0 to s (s)": lambda: exported(
        lambda key: jattn.dot_product_attention(key, key, key, key_value_seq_lengths=NINE),
        (S, 2, 4),
    ),
    "gru: length is -1, expected 0 to t (s)": lambda: exported(
        lambda rows: jattn.gru(jattn.init_gru(KEY, input_size=4, units=2), rows, length=-1), (T, 4)
    ),
    "alibi_slopes: heads is t, expected an integer": lambda: exported(
        lambda rows: rows + jattn.biases.alibi_slopes(rows.shape[0])[:, None], (T, 4)
    ),
}


@pytest.mark.parametrize("message", MISTAKES)
def test_sizes_that_are_certainly_wrong_are_refused(message):
    with pytest.raises(ValueError, match=re.escape(message)):
        MISTAKES[message]()


def test_sizes_that_may_be_right_are_not_refused():
    """A length of 5 is right for some numbers of keys; there may be keys past the last query."""
    lengths = lambda key: jattn.dot_attention(key, key, key, mask=masks.lengths(5)).context
    assert exported(lengths, (T, 4)).out_avals[0].shape == (T, 4)
    assert exported(lengths, (S, 4)).out_avals[0].shape == (S, 4)
    options = {"is_causal": True, "implementation": "xla"}
    causal = lambda *qkv: jattn.dot_product_attention(
        *(x.astype("float32") for x in qkv), **options
    )
    b, t, s = symbols().values()
    found = exported(causal, (b, t, 4, 3), (b, s, 2, 3), (b, s, 2, 3))
    assert found.out_avals[0].shape == (b, t, 4, 3)


def test_a_plan_of_symbolic_queries_is_one_block():
    shape = jax.ShapeDtypeStruct((2, T, 4, 3), "float32")
    assert str(jattn.engine.plan(shape, shape, shape, chunk_size=8)) == (
        "dense: 2 × 4 problems of 1 × t queries and t keys, all at once"
    )
