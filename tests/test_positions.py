# pyright: reportArgumentType=false
"""Positions: what they are defined to be, far out too, and what attention makes of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jattn
from jattn import testing
from jattn.positions import alibi_slopes
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


def test_alibi_falls_with_the_distance_by_a_slope_of_each_head():
    bias = jattn.alibi_bias(4, 2, 5, offset=3)
    slopes = np.array([2.0**-2, 2.0**-4, 2.0**-6, 2.0**-8])
    distance = np.array([[3, 2, 1, 0, 1], [4, 3, 2, 1, 0]])
    np.testing.assert_array_equal(bias, -slopes[:, None, None] * distance)
    assert jattn.alibi_bias(0, 2, 5).shape == (0, 2, 5)
    # The authors' code gives these to six heads: four, and the first and third of eight.
    testing.assert_close(alibi_slopes(6), np.array([*slopes, 2.0**-1, 2.0**-3]), 1e-15)
