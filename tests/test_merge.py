"""Attention over two sets of keys, joined: the oracle's values, and those of the whole set."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jattn
from jattn import testing
from jattn.oracle.engine.merge import merge_attention as oracle
from jattn.testing.properties import STEP
from jattn.testing.trees import draw_like

B, T, S, H, K, V = 2, 3, 7, 5, 11, 13
HALF = 4
merge_attention: Any = jattn.merge_attention  # NumPy's arrays will do.


def parts(first_empty=(), second_empty=()):
    """Two outputs and their lse, some of them of no key."""
    rng = np.random.default_rng(0)
    drawn = [rng.standard_normal(shape) for shape in ((B, T, H, V), (B, T, H)) * 2]
    for lse, empty in ((drawn[1], first_empty), (drawn[3], second_empty)):
        for place in empty:
            lse[place] = -np.inf
    return tuple(drawn)


def without_infinity(merged):
    output, lse = merged
    return output, np.where(np.isneginf(lse), -1e3, lse)


EMPTY = {
    "neither": ((), ()),
    "first": ([(0, 1)], ()),
    "second": ((), [(slice(None), 2)]),
    "both": ([(0, 1), (1, 0)], [(0, 1), (1, 2)]),
}


@pytest.mark.parametrize("name", EMPTY)
def test_G1_G2_M1_value_and_gradient_match_the_oracle(name):
    inputs = parts(*EMPTY[name])
    cotangent = tuple(draw_like(inputs[:2], 1))
    expected, expected_pullback = oracle(*inputs)
    actual, pullback = jax.vjp(merge_attention, *inputs)
    testing.assert_close(without_infinity(actual), without_infinity(expected), 1e-12)
    gradient = pullback(type(actual)(*cotangent))
    testing.assert_close(gradient, expected_pullback(cotangent), 1e-12)


def test_G3_second_derivatives_match_complex_steps():
    inputs = parts(*EMPTY["both"])
    cotangent, direction = draw_like(inputs[:2], 1), draw_like(inputs, 2)

    def gradient(*inputs):
        merged, pullback = jax.vjp(merge_attention, *inputs)
        return pullback(type(merged)(*cotangent))

    step = STEP
    moved = [x + 1j * step * d for x, d in zip(inputs, direction, strict=True)]
    expected = [np.imag(x) / step for x in oracle(*moved)[1](cotangent)]
    actual = jax.jit(lambda *x: jax.jvp(gradient, x, direction)[1])(*inputs)
    testing.assert_close(list(actual), expected, 1e-12)


def test_G2_two_halves_of_the_keys_make_the_whole():
    rng = np.random.default_rng(0)
    inputs = tuple(rng.standard_normal(x) for x in ((B, T, H, K), (B, S, H, K), (B, S, H, V)))
    mask = rng.random((B, 1, T, S)) < 0.5
    mask[0, :, 0] = False  # A query without keys,
    mask[1, :, 1, HALF:] = False  # and one without keys in a half.
    attention: Any = functools.partial(jattn.dot_product_attention, return_residual=True)

    def whole(query, key, value):
        return attention(query, key, value, mask=mask)

    def halves(query, key, value):
        cuts = (slice(HALF), slice(HALF, None))
        found = [attention(query, key[:, c], value[:, c], mask=mask[..., c]) for c in cuts]
        return tuple(merge_attention(*found[0], *found[1]))

    def evaluated(function):
        def run(cotangent, *inputs):
            output, pullback = jax.vjp(function, *inputs)
            return output, pullback(cotangent)

        cotangent = draw_like(jax.eval_shape(function, *inputs), 1)
        output, gradient = jax.jit(run)(cotangent, *inputs)
        return without_infinity(output), gradient

    testing.assert_close(evaluated(halves), evaluated(whole), 1e-12)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_D1_output_has_its_dtype_and_lse_at_least_float32(dtype):
    output, lse = (jnp.asarray(x, dtype) for x in parts()[:2])
    wide = "float64" if dtype == "float64" else "float32"
    merged = merge_attention(output, lse.astype(wide), output, lse.astype(wide))
    assert (merged.output.dtype, merged.lse.dtype) == (dtype, wide)
    assert np.array_equal(merged.output, output)  # Of two equal parts, the half of each.


def test_N4_large_lse_do_not_overflow():
    output, lse, *_ = parts()
    merged = merge_attention(output, lse + 1e5, -output, lse - 1e5)
    testing.assert_close(tuple(merged), (output, lse + 1e5), 1e-14)


def test_C1_output_of_a_part_without_keys_reaches_nothing():
    inputs = parts(*EMPTY["first"])
    poisoned = [x.copy() for x in inputs]
    poisoned[0][0, 1] = np.nan
    run = lambda inputs: jax.vjp(merge_attention, *inputs)
    (clean, pullback), (merged, poisoned_pullback) = run(inputs), run(poisoned)
    cotangent = type(merged)(*draw_like(inputs[:2], 1))
    for one, other in ((clean, merged), (pullback(cotangent), poisoned_pullback(cotangent))):
        assert all(map(np.array_equal, one, other))


@pytest.mark.parametrize("name", ["first_lse", "second_output", "second_lse"])
def test_shapes_that_differ_are_named(name):
    names = ("first_output", "first_lse", "second_output", "second_lse")
    given = dict(zip(names, parts(), strict=True))
    given[name] = given[name][:, 1:]
    with pytest.raises(ValueError, match=f"merge_attention: {name} has shape"):
        merge_attention(**given)
