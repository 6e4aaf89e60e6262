"""Attention as one primitive of JAX: its rules for `jax.vmap`, platforms and Taylor series."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.experimental import jet
from test_platforms import FUNCTIONS, OPTIONS, SHAPES, WHILE, loops_over_blocks

import jattn
from jattn import engine, testing

B, T, S, H, G, K = 3, 5, 7, 4, 2, 3
rng: Any = np.random.default_rng(0)
INPUTS = {
    "query": rng.standard_normal((B, T, H, K)),
    "key": rng.standard_normal((B, S, G, K)),
    "value": rng.standard_normal((B, S, G, K)),
    "bias": rng.standard_normal((B, H, T, S)),
    "sinks": rng.standard_normal((B, H)),
    "scale": rng.standard_normal(B),
}
CALLS = {
    "plain": {},
    "causal in blocks": {"is_causal": True, "query_offset": 2, "chunk_size": 2},
    "capped": {"logits_soft_cap": 1.5, "local_window_size": (3, 1)},
    "as seen": {"key_value_seq_lengths": 4, "planner": engine.narrowed, "chunk_size": 2},
}


def run(options, **inputs):
    """Attention of one example, which has no axis of the batch."""
    return jattn.dot_product_attention(**inputs, return_residual=True, **options)


def gradient(options, weights, **inputs):
    total = lambda inputs: sum(
        (x * w).sum() for x, w in zip(run(options, **inputs), weights, strict=True)
    )
    return jax.grad(total)(inputs)


def pushed(options, changes, **inputs):
    return jax.jvp(lambda inputs: run(options, **inputs), (inputs,), (changes,))


@pytest.mark.parametrize("shared", [(), ("key", "value"), ("query",), ("bias", "sinks", "scale")])
@pytest.mark.parametrize("name", CALLS)
def test_what_is_shared_under_vmap_has_derivatives_of_each_element(name, shared):
    """Values, gradients, changes and changes of gradients, as of one element after the other."""
    options = CALLS[name]
    chosen = {key: x[0] if key in shared else x for key, x in INPUTS.items()}
    axes = {key: None if key in shared else 0 for key in INPUTS}
    changes = {key: np.sin(3 * x) for key, x in chosen.items()}
    weights = rng.standard_normal((B, T, H, K)), rng.standard_normal((B, T, H))

    def all_of_them(inputs, changes, weights):
        derived = functools.partial(gradient, options, weights)
        moved = jax.jvp(lambda inputs: derived(**inputs), (inputs,), (changes,))
        return run(options, **inputs), derived(**inputs), moved, pushed(options, changes, **inputs)

    mapped = jax.jit(jax.vmap(all_of_them, (axes, axes, 0)))(chosen, changes, weights)
    of_one = jax.jit(all_of_them)
    pick = lambda tree, i: {k: x if axes[k] is None else x[i] for k, x in tree.items()}
    each = [
        of_one(pick(chosen, i), pick(changes, i), tuple(w[i] for w in weights)) for i in range(B)
    ]
    testing.assert_close(mapped, jax.tree.map(lambda *xs: jnp.stack(xs), *each), 1e-12)


def test_two_axes_of_vmap_are_two_of_the_batch():
    """An axis of queries alone inside one of all, and the other way round."""
    shapes = (4, B, T, H, K), (B, S, G, K), (B, S, G, K)
    query, key, value = (rng.standard_normal(shape) for shape in shapes)

    def loss(query, key, value):
        return (jattn.dot_product_attention(query, key, value, chunk_size=2) ** 2).sum()

    derived = jax.grad(loss, (0, 1, 2))
    inside = jax.vmap(jax.vmap(derived, (0, None, None)), (1, 0, 0), (1, 0, 0))
    outside = jax.vmap(jax.vmap(derived), (0, None, None))
    found, other = (jax.jit(function)(query, key, value) for function in (inside, outside))
    expected = [[derived(query[i, b], key[b], value[b]) for b in range(B)] for i in range(4)]
    stacked = [
        jnp.stack([jnp.stack([one[n] for one in row]) for row in expected]) for n in range(3)
    ]
    testing.assert_close(list(other), stacked, 1e-12)
    turned = [stacked[0], *(x.swapaxes(0, 1) for x in stacked[1:])]
    testing.assert_close(list(found), turned, 1e-12)


@pytest.mark.parametrize("kind", FUNCTIONS)
@pytest.mark.parametrize("name", OPTIONS)
def test_jax_vmap_takes_no_more_memory_than_a_batch(name, kind):
    batch = [jax.ShapeDtypeStruct((16, 512, 2, 16), "float32")] * 3

    def attend(*arrays):
        return jattn.dot_product_attention(*arrays, chunk_size=64, **OPTIONS[name])

    loss = lambda *arrays: (attend(*arrays) ** 2).sum()
    function = {"forward": attend, "gradient": jax.grad(loss, (0, 1, 2))}[kind]

    def temporary(function):
        compiled: Any = jax.jit(function).lower(*batch).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary(jax.vmap(function)) <= 1.05 * temporary(function)


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_jax_vmap_is_lowered_for_accelerators_without_loops_over_it(kind):
    mapped = jax.jit(jax.vmap(functools.partial(FUNCTIONS[kind], is_causal=True)))
    shapes = [jax.ShapeDtypeStruct((6, *x.shape), x.dtype) for x in SHAPES]
    module = export.export(mapped, platforms=["cuda"])(*shapes).mlir_module()
    wanted = loops_over_blocks({"is_causal": True})
    assert len(WHILE.findall(module)) <= {"forward": 1, "gradient": 3}[kind] * wanted


@pytest.mark.parametrize("name", CALLS)
def test_a_Taylor_series_is_that_of_nested_derivatives(name):
    inputs = [x[0] for x in INPUTS.values()]
    changes = [np.sin(3 * x) for x in inputs]

    def function(*arrays):
        return list(run(CALLS[name], **dict(zip(INPUTS, arrays, strict=True))))

    def along(function):
        return lambda *arrays: jax.jvp(function, arrays, tuple(changes))[1]

    def series(*arrays):
        terms = [[d, np.zeros_like(d), np.zeros_like(d)] for d in changes]
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return jet.jet(function, arrays, terms)

    value, coefficients = jax.jit(series)(*inputs)
    order = function
    testing.assert_close(value, function(*inputs), 1e-12)
    for number in range(3):
        order = along(order)
        found = [terms[number] for terms in coefficients]
        testing.assert_close(found, jax.jit(order)(*inputs), 1e-11)
