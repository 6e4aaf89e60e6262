# pyright: reportArgumentType=false
"""Positions: their definitions, far out too, and the scores of attention with them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import checkify

import jattn
from jattn import testing
from jattn.testing.properties import ROUNDING

FAR = np.array([0, 1, 2, 13, 1000, 4097, 65537, 2**20 - 1, 2**20, -7, -(2**20)])


def angles(positions, features, base):
    """In 80 bits, of which position 1,000,000 takes twenty."""
    exponents = -np.arange(0, features, 2) / np.longdouble(features)
    return positions[:, None] * np.longdouble(base) ** exponents


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_N3_angles_are_exact_far_out_whatever_the_dtype(dtype):
    """A pair (1, 0) turned by an angle is its cosine and its sine."""
    ones = jnp.zeros((len(FAR), 64), dtype).at[:, ::2].set(1.0)
    turned = np.asarray(jax.jit(jattn.rotary)(ones, FAR), np.longdouble)
    wanted = angles(FAR, 64, 10000.0)
    for part, exact in ((turned[:, ::2], np.cos(wanted)), (turned[:, 1::2], np.sin(wanted))):
        testing.assert_close(part, exact, (2 if dtype == "float32" else 1) * ROUNDING[dtype])


@pytest.mark.parametrize("offset", [0, 17])
def test_N3_sinusoids_are_those_of_their_positions(offset):
    far = offset + np.arange(5)
    wanted = np.empty((5, 7), np.longdouble)
    wanted[:, 0::2] = np.sin(angles(far, 7, 100.0))
    wanted[:, 1::2] = np.cos(angles(far, 7, 100.0))[:, :3]
    found = jax.jit(lambda offset: jattn.sinusoidal_positions(5, 7, offset=offset, base=100.0))
    testing.assert_close(found(offset), wanted, 1e-15 * far.max())
    single = jattn.sinusoidal_positions(5, 7, offset=offset, base=100.0, dtype="float32")
    testing.assert_close(np.asarray(single, np.longdouble), wanted, 2 * ROUNDING["float32"])


SIX = np.random.default_rng(2).standard_normal((3, 6))


def rotated(inputs, positions, frequencies):
    """Pairs of neighbours as complex numbers, in 80 bits; positions are one a row or one a pair."""
    positions = np.asarray(positions, np.longdouble)
    positions = positions[:, None] if positions.ndim == 1 else positions
    inputs = np.asarray(inputs, np.longdouble)
    pairs = inputs[:, 0::2] + 1j * inputs[:, 1::2]
    pairs = pairs * np.exp(1j * positions * np.asarray(frequencies, np.longdouble))
    return np.stack([pairs.real, pairs.imag], -1).reshape(inputs.shape)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"])
def test_N3_positions_of_any_dtype_are_the_same_number(dtype):
    """The least number of a signed dtype has no absolute value in it."""
    inputs = SIX.astype(np.float32)
    ends = np.iinfo(dtype)
    positions = np.array([max(int(ends.min), -(2**31)), 3, min(int(ends.max), 2**32 - 1)], dtype)
    expected = rotated(inputs, positions.astype(float), 10000.0 ** (-np.arange(3) / 3))
    for array in (positions, jnp.asarray(positions)):
        found = np.asarray(jattn.rotary(inputs, array), np.longdouble)
        testing.assert_close(found, expected, 4 * ROUNDING["float32"])


@pytest.mark.parametrize("position", [2**31, 2**33 + 1, -(2**62) + 1, -(2**63), 2**64 - 1])
def test_N3_positions_past_32_bits_are_exact(position):
    """Frequencies of a power of two, so that 80 bits hold the exact product too."""
    inputs, frequencies = SIX[:1].astype(np.float32), 2.0 ** -np.array([30, 41, 63])
    positions = np.array([position], np.uint64 if position > 2**63 else np.int64)
    expected = rotated(inputs, positions, frequencies)
    rotate = lambda x: jattn.rotary(inputs, x, frequencies=frequencies)
    for found in (rotate(positions), rotate(jnp.asarray(positions)), jax.jit(rotate)(positions)):
        testing.assert_close(np.asarray(found, np.longdouble), expected, 4 * ROUNDING["float32"])


def test_N3_fractional_positions_are_exact_far_out():
    inputs = SIX.astype(np.float32)
    frequencies = 10000.0 ** (-np.arange(3) / 3)
    for positions in (np.array([0.5, -3.25, 2.0**20 + 0.125]), np.array([-0.75, 0.0, 1e5 + 0.5])):
        expected = rotated(inputs, positions, frequencies)
        for kind in (np.float32, np.float64):
            found = jax.jit(jattn.rotary)(inputs, positions.astype(kind))
            assert found.dtype == np.float32  # Positions promote nothing.
            testing.assert_close(
                np.asarray(found, np.longdouble), expected, 4 * ROUNDING["float32"]
            )
        exact = np.asarray(jattn.rotary(SIX, positions), np.longdouble)
        testing.assert_close(exact, rotated(SIX, positions, frequencies), 1e-15 * 2.0**21)


def test_positions_that_are_no_numbers_show():
    inputs = np.ones((3, 2), np.float32)
    found = np.asarray(jattn.rotary(inputs, np.array([1.0, np.nan, np.inf], np.float32)))
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1:]).all()


@pytest.mark.parametrize("rotate", [jattn.rotary, jattn.half_split_rotary])
def test_frequencies_are_those_of_the_base_unless_given(rotate):
    positions, base = np.array([0, 7, 100]), 500.0
    frequencies = base ** -(np.arange(0, 6, 2) / 6)
    by_base = rotate(SIX, positions, base=base)
    testing.assert_close(rotate(SIX, positions, frequencies=frequencies), by_base, 1e-15)
    traced = jax.jit(lambda f: rotate(SIX, positions, frequencies=f))(frequencies)
    testing.assert_close(traced, by_base, 1e-13)
    # Interpolated positions are slower frequencies: Chen et al. (2023), arXiv:2306.15595.
    slower = rotate(SIX, positions, frequencies=frequencies / 4)
    testing.assert_close(rotate(SIX, positions / 4, frequencies=frequencies), slower, 1e-13)
    with pytest.raises(ValueError, match=rf"^{rotate.__name__}: frequencies are .*inf"):
        rotate(SIX, positions, frequencies=frequencies + np.inf)
    with pytest.raises(ValueError, match=rf"^{rotate.__name__}: inputs has shape \(3, 6\)"):
        rotate(SIX, positions, frequencies=frequencies[:2])


def test_pairs_may_have_positions_of_their_own():
    """As in an image, whose pairs of features are those of its rows and its columns."""
    positions = np.array([[0, 1, 2], [5, 0, 3], [-2, 2, 7]])
    frequencies = np.array([1.0, 0.5, 0.1])
    found = np.asarray(jattn.rotary(SIX, positions, frequencies=frequencies), np.longdouble)
    testing.assert_close(found, rotated(SIX, positions, frequencies), 1e-14)
    same = np.repeat(positions[:, :1], 3, 1)
    testing.assert_close(jattn.rotary(SIX, same), jattn.rotary(SIX, positions[:, 0]), 1e-15)


def test_batched_positions_are_those_of_each_example():
    inputs = np.random.default_rng(3).standard_normal((2, 3, 6)).astype(np.float32)
    for positions in (np.array([[0, 1, 2], [7, 8, 9]]), np.array([[0.5, 1, 2], [7, 8.25, 9]])):
        for rotate in (jattn.rotary, jattn.half_split_rotary):
            batched = jax.vmap(rotate)(inputs, positions)
            for example, row, own in zip(batched, inputs, positions, strict=True):
                testing.assert_close(example, rotate(row, own), 4 * ROUNDING["float32"])


@pytest.mark.parametrize("shape", [(3,), (3, 3)])
def test_G1_G2_fractional_positions_and_frequencies_are_differentiated(shape):
    draw = np.random.default_rng(4).standard_normal
    positions, frequencies, cotangent = draw(shape), draw(3), draw((3, 6))
    rotate = lambda x, p, f: jattn.rotary(x, p, frequencies=f)
    oracle = lambda x, p, f: jattn.oracle.positions.rotation.rotary(x, p, frequencies=f)
    outputs, pullback = jax.vjp(rotate, SIX, positions, frequencies)
    expected, by_hand = oracle(SIX, positions, frequencies)
    testing.assert_close(outputs, expected, 1e-14)
    gradient = by_hand(cotangent)
    testing.assert_close(pullback(cotangent), gradient, 1e-12)
    inputs = (SIX, positions, frequencies)
    for index in range(3):
        for place in np.ndindex(inputs[index].shape):
            moved = [x.astype(complex) for x in inputs]
            moved[index][place] += 1e-100j
            slope = (oracle(*moved)[0].imag * cotangent).sum() / 1e-100
            np.testing.assert_allclose(gradient[index][place], slope, rtol=1e-12, atol=1e-14)
    # In float32, whole positions and fractions take different ways.
    single = [np.asarray(x, np.float32) for x in (SIX, positions, frequencies)]
    _, pullback = jax.vjp(lambda x, p: rotate(x, p, single[2]), *single[:2])
    testing.assert_close(pullback(single[0]), by_hand(SIX)[:2], 1e-5)


def test_rotary_products_depend_on_the_distance_alone():
    query, key = np.random.default_rng(0).standard_normal((2, 1, 6))

    def score(turn, here, there):
        return turn(query, np.array([here])) @ turn(key, np.array([there])).T

    for turn in (jattn.rotary, jattn.half_split_rotary):
        testing.assert_close(score(turn, 20, 13), score(turn, 7, 0), 1e-14)
        assert abs(score(turn, 20, 14) - score(turn, 7, 0)) > 1e-3


def test_the_two_orders_of_features_are_one_rotation():
    inputs, positions = np.random.default_rng(1).standard_normal((5, 6)), np.arange(5)
    order = [0, 3, 1, 4, 2, 5]
    np.testing.assert_array_equal(
        jattn.half_split_rotary(inputs, positions)[:, order],
        jattn.rotary(inputs[:, order], positions),
    )


@pytest.mark.parametrize("turn", [jattn.rotary, jattn.half_split_rotary])
def test_features_come_in_pairs(turn):
    with pytest.raises(ValueError, match=rf"^{turn.__name__}: inputs has 5 features \(k\)"):
        turn(np.zeros((2, 5)), np.arange(2))


@pytest.mark.parametrize("offset", [2**31 - 1, -(2**31), 2**33 + 3, -(2**62), 2**63])
def test_offsets_of_64_bits_are_exact(offset):
    first = np.array(offset, np.uint64 if offset >= 2**63 else np.int64)
    # The second frequency is 2 ** -20, so that 80 bits hold the exact angle.
    pair = lambda offset: jattn.sinusoidal_positions(
        3, 4, offset=offset, base=2.0**40, dtype="float32"
    )[:, 2:]
    angle = np.array([offset + t for t in range(3)], np.longdouble) * np.longdouble(2) ** -20
    expected = np.stack([np.sin(angle), np.cos(angle)], -1)
    for found in (pair(offset), pair(first), jax.jit(pair)(first)):
        testing.assert_close(np.asarray(found, np.longdouble), expected, 4 * ROUNDING["float32"])


def test_offsets_of_more_than_64_bits_are_refused():
    with pytest.raises(ValueError, match=f"^sinusoidal_positions: offset is {2**64}, expected an"):
        jattn.sinusoidal_positions(3, 4, offset=2**64)


POINTS = np.random.default_rng(5).standard_normal((3, 4)).astype(np.float32)
CLEAN = {
    "rotary": lambda x: jattn.rotary(x, jnp.arange(-1, 2)),
    "fractional rotary": lambda x: jattn.half_split_rotary(x, jnp.array([-0.5, 0.0, 1.5])),
    "sinusoids": lambda x: x + jattn.sinusoidal_positions(3, 4, dtype="float32"),
    "linear biases": lambda x: x + jattn.biases.alibi(x[0, :1]).dense(3, 4, offset=1)[0],
    "embedding": lambda x: jattn.embedding(jattn.EmbeddingParams(x), jnp.array([2, 0])),
    "layer norm": lambda x: jattn.layer_norm(jattn.LayerNormParams(x[0]), 0.0 * x),
    "rms norm": lambda x: jattn.rms_norm(jattn.RMSNormParams(x[0]), 0.0 * x),
    "ids": lambda x: x + jattn.masks.segments(np.arange(3), np.arange(4)).dense(3, 4).astype(float),
}


@pytest.mark.parametrize("name", CLEAN)
def test_V3_debugging_modes_find_nothing(name):
    with jax.numpy_dtype_promotion("standard"):
        gradient = jax.grad(lambda x: CLEAN[name](x).sum())
        with jax.disable_jit(), jax.debug_nans(True), jax.debug_infs(True):
            assert np.isfinite(CLEAN[name](POINTS)).all()
            assert np.isfinite(gradient(POINTS)).all()
        for function in (CLEAN[name], gradient):
            checked = jax.jit(checkify.checkify(function, errors=checkify.all_checks))
            assert checked(POINTS)[0].get() is None
