# pyright: reportArgumentType=false, reportOperatorIssue=false
"""Position biases: closed forms and printed numbers, `+`, arrays of pairs, dtypes, and errors."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jattn
from jattn import biases, testing
from jattn.biases import Bias
from jattn.testing.properties import ROUNDING

H, T, S = 3, 4, 6
DRAW = np.random.default_rng(0).standard_normal
POSITIVE = np.abs(DRAW((2, H))) + 0.5
EACH = {
    "alibi": lambda: biases.alibi(POSITIVE[0]),
    "t5": lambda: biases.t5(np.random.default_rng(1).standard_normal((8, H)), max_distance=5),
    "relative": lambda: biases.relative(np.random.default_rng(2).standard_normal((5, H))),
    "kerple_log": lambda: biases.kerple_log(*POSITIVE),
    "kerple_power": lambda: biases.kerple_power(*POSITIVE),
    "sandwich": lambda: biases.sandwich(POSITIVE[0], features=6, base=50.0),
    "sum": lambda: biases.alibi(POSITIVE[0]) + biases.kerple_log(*POSITIVE) + one_for_all(),
}


def prefer_the_past(distances, weight):
    return weight[:, None] * (distances < 0).astype(weight.dtype)[None]


def one_for_all():
    return Bias(prefer_the_past, (np.array([0.25]),))


def test_slopes_are_those_that_are_printed():
    """Press et al. print those of 8 and 16 heads; those of 6 and 12 are of their code."""
    eight, four = 2.0 ** -np.arange(1, 9), 2.0 ** -np.arange(2, 9, 2)
    sixteen = 2.0 ** (-np.arange(1, 17) / 2)
    for slopes in (biases.alibi_slopes, biases.alibi_geometric_slopes):
        np.testing.assert_array_equal(slopes(8), eight)
        testing.assert_close(slopes(16), sixteen, 1e-15)
        assert slopes(0).shape == (0,)
        np.testing.assert_array_equal(slopes(1), [2.0**-8])
    np.testing.assert_array_equal(biases.alibi_slopes(6), [*four, 2.0**-1, 2.0**-3])
    testing.assert_close(biases.alibi_slopes(12), np.array([*eight, *sixteen[:8:2]]), 1e-15)
    testing.assert_close(biases.alibi_geometric_slopes(6), 2.0 ** (-np.arange(1, 7) * 8 / 6), 1e-15)


def test_alibi_falls_with_the_distance_by_a_slope_of_each_head():
    slopes = np.asarray(biases.alibi_slopes(4))
    distance = np.array([[3, 2, 1, 0, 1], [4, 3, 2, 1, 0]])
    bias = biases.alibi(slopes).dense(2, 5, offset=3)
    np.testing.assert_array_equal(bias, -slopes[:, None, None] * distance)


def test_alibi_of_the_past_is_the_slope_times_the_position_of_the_key():
    """The form of the authors' code, which softmax does not tell from the distance."""
    scores, slopes = DRAW((T, T)), np.asarray(biases.alibi_slopes(2))
    mask = np.tril(np.ones((T, T), bool))
    for slope, bias in zip(slopes, biases.alibi(slopes).dense(T, T), strict=True):
        ours = jattn.softmax(scores + bias, mask)
        testing.assert_close(ours, jattn.softmax(scores + slope * np.arange(T), mask), 1e-15)


def test_buckets_are_those_of_the_table():
    distances = [0, -1, -7, -8, -11, -12, -16, -32, -64, -91, -128, 1, 8, 16, 128]
    buckets = [0, 1, 7, 8, 8, 9, 10, 12, 14, 15, 15, 17, 24, 26, 31]
    np.testing.assert_array_equal(biases.t5_buckets(np.array(distances)), buckets)
    of_the_past = biases.t5_buckets(np.array([5, 0, -15, -16, -127, -500]), bidirectional=False)
    np.testing.assert_array_equal(of_the_past, [0, 0, 15, 16, 31, 31])


@pytest.mark.parametrize(("buckets", "most"), [(32, 128), (16, 20), (64, 1000), (2, 3), (10, 6)])
def test_buckets_are_those_of_the_logarithm(buckets, most):
    """By a logarithm in 80 bits, moved up by less than any distance, so that edges are exact."""
    exact = buckets // 2
    for distance in range(2 * most):
        expected = distance
        if distance >= exact:
            ratio = np.log(np.longdouble(distance) / exact) / np.log(np.longdouble(most) / exact)
            expected = min(exact + math.floor(ratio * (buckets - exact) + 1e-14), buckets - 1)
        options = {"buckets": buckets, "bidirectional": False, "max_distance": most}
        assert biases.t5_buckets(np.array(-distance), **options) == expected


def test_the_gradient_of_a_table_counts_its_distances():
    table = np.zeros((3, 1))
    gradient = jax.grad(lambda table: biases.relative(table).dense(2, 5).sum())(table)
    np.testing.assert_array_equal(gradient[:, 0], [1, 2, 7])


def test_kerple_is_alibi_in_its_limits():
    slopes = biases.alibi_slopes(H)
    linear = biases.alibi(slopes).dense(T, S)
    np.testing.assert_array_equal(biases.kerple_power(slopes, np.ones(H)).dense(T, S), linear)
    flat = biases.kerple_log(slopes * 2.0**40, np.full(H, 2.0**-40)).dense(T, S)
    testing.assert_close(flat, linear, 1e-11)


def test_a_power_of_distance_zero_has_finite_derivatives():
    at_zero = lambda exponent: biases.kerple_power(exponent, exponent).of_distances(jnp.array([0]))
    for exponent in (0.01, 1.0, 2.0):
        for function in (at_zero, jax.jacfwd(at_zero), jax.jacrev(jax.jacfwd(at_zero))):
            assert not np.asarray(function(jnp.array([exponent]))).any()


def test_sandwich_is_a_product_of_sinusoidal_positions():
    vectors = np.asarray(jattn.sinusoidal_positions(T + S, 128))
    compression = np.asarray(biases.sandwich_compression(4))
    np.testing.assert_array_equal(compression, [2, 4, 6, 8])
    products = vectors[:T] @ vectors[:S].T / compression[:, None, None]
    testing.assert_close(biases.sandwich(compression).dense(T, S), products, 1e-14)


def test_N3_sandwich_is_exact_far_out():
    distances = np.array([0, -1000, 65537, -(2**20)])
    angles = distances[:, None] * np.longdouble(10000.0) ** (-np.arange(0, 8, 2) / np.longdouble(8))
    bias = biases.sandwich(np.ones(1, np.float32), features=8).of_distances(distances)
    wanted = np.cos(angles).sum(-1)[None]
    testing.assert_close(np.asarray(bias, np.longdouble), wanted, 4 * ROUNDING["float32"])


@pytest.mark.parametrize("name", EACH)
def test_an_array_of_pairs_has_the_bias_of_each_distance(name):
    bias = EACH[name]()
    assert bias.heads == H
    values = bias.of_distances(jnp.arange(-(T + 1), S - 2))
    for offset in (2, np.uint8(2), jnp.int32(2)):
        for dense in (bias.dense, jax.jit(bias.dense, static_argnums=(0, 1))):
            pairs = dense(T, S, offset=offset)
            assert pairs.shape == (H, T, S)
            for query in range(T):
                diagonal = T - 1 - query
                np.testing.assert_array_equal(pairs[:, query], values[:, diagonal : diagonal + S])


@pytest.mark.parametrize("name", EACH)
def test_S1_a_step_of_decoding_takes_one_row(name):
    bias = EACH[name]()
    whole = bias.dense(S, S)
    step = jax.jit(lambda bias, offset: bias.dense(1, S, offset=offset))
    for offset in range(S):
        testing.assert_close(step(bias, np.uint8(offset))[:, 0], whole[:, offset], 1e-15)


@pytest.mark.parametrize("name", EACH)
def test_T2_biases_batch_as_pytrees(name):
    bias = EACH[name]()
    batch = jax.tree.map(lambda x: np.stack([x, x / 2, 2 * x]), bias)
    found = jax.jit(jax.vmap(lambda bias: bias.dense(T, S)))(batch)
    for index in range(3):
        alone = jax.tree.map(lambda x, index=index: x[index], batch)
        testing.assert_close(found[index], alone.dense(T, S), 1e-14)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("name", EACH)
def test_D1_biases_are_computed_in_at_least_float32(name, dtype):
    bias = jax.tree.map(lambda x: jnp.asarray(x, dtype), EACH[name]())
    exact = jax.tree.map(lambda x: np.asarray(x, np.float64), bias)
    inner = "float64" if dtype == "float64" else "float32"
    values = bias.of_distances(np.arange(-300, 300, dtype=np.int16))
    assert (bias.dtype, values.dtype, bias.dense(2, 3).dtype) == (dtype, inner, inner)
    assert bias.dense(2, 3, dtype=dtype).dtype == dtype
    wanted = exact.of_distances(np.arange(-300, 300))
    testing.assert_close(values.astype(float), wanted, 8 * ROUNDING[inner])


def test_biases_add():
    one, other = biases.alibi(POSITIVE[0]), biases.relative(DRAW((3, H)))
    wanted = np.asarray(one.dense(T, S)) + np.asarray(other.dense(T, S))
    np.testing.assert_array_equal((one + other).dense(T, S), wanted)
    shared = (other + one_for_all()).dense(T, S) - other.dense(T, S)
    testing.assert_close(shared, 0.25 * np.tril(np.ones((H, T, S)), -1), 1e-14)
    narrow = jax.tree.map(lambda x: x.astype(np.float32), one)
    assert (narrow + other).of_distances(np.arange(3)).dtype == np.float64
    gradient = jax.grad(lambda bias: bias.dense(T, S).sum())(one + other)
    alone = jax.grad(lambda bias: bias.dense(T, S).sum())(one)
    np.testing.assert_array_equal(jax.tree.leaves(gradient)[0], jax.tree.leaves(alone)[0])


def test_numbers_are_static_and_arrays_are_leaves():
    bias = biases.t5(np.ones((8, H)), max_distance=5)
    assert [leaf.shape for leaf in jax.tree.leaves(bias)] == [(8, H)]
    assert jax.tree.structure(bias) != jax.tree.structure(biases.t5(np.ones((8, H))))
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), bias)
    assert jax.eval_shape(lambda bias: bias.dense(T, S), shapes).shape == (H, T, S)


def test_attention_takes_a_bias_as_an_array():
    query, key = DRAW((T, 5)), DRAW((S, 5))
    table = DRAW((3, 1))
    attend = lambda table: (
        jattn.dot_attention(query, key, key, bias=biases.relative(table).dense(T, S)[0]).context
    )
    by_hand = np.empty((T, S))
    for t in range(T):
        for s in range(S):
            by_hand[t, s] = table[np.clip(s - t, -1, 1) + 1, 0]
    wanted = jattn.dot_attention(query, key, key, bias=by_hand).context
    testing.assert_close(jax.jit(attend)(table), wanted, 1e-14)


@pytest.mark.parametrize(
    "name", ["init_t5", "init_relative", "init_kerple_log", "init_kerple_power"]
)
def test_drawn_biases_are_pytrees_of_their_dtype(name):
    options = {"limit": 2} if name == "init_relative" else {}
    function = getattr(biases, name)
    bias = function(jax.random.key(0), heads=H, dtype="bfloat16", **options)
    again = function(jax.random.key(0), heads=H, dtype="bfloat16", **options)
    assert bias.heads == H
    for leaf, same in zip(jax.tree.leaves(bias), jax.tree.leaves(again), strict=True):
        assert leaf.dtype == "bfloat16"
        np.testing.assert_array_equal(leaf, same)
        assert len(np.unique(np.asarray(leaf, np.float32))) > 1
    if "kerple" in name:
        drawn = np.concatenate([np.asarray(x, float) for x in jax.tree.leaves(bias)])
        assert (drawn >= 0.01).all()
        assert (drawn <= 2.0).all()


TABLE, ODD = np.zeros((8, H)), np.zeros((7, H))
MISTAKES = {
    "t5: table has 7 rows (m), expected an even number of at least 4": lambda: biases.t5(ODD),
    "t5: table has 2 rows (m), expected an even number of at least 4": lambda: biases.t5(TABLE[:2]),
    "t5: table has 1 rows (m), expected at least 2": lambda: biases.t5(
        TABLE[:1], bidirectional=False
    ),
    "t5: max_distance is 2, expected more than the 2 distances with a bucket each": (
        lambda: biases.t5(TABLE, max_distance=2)
    ),
    "t5_buckets: buckets is 3, expected an even number": lambda: biases.t5_buckets(
        np.arange(3), buckets=3
    ),
    "t5_buckets: distances has dtype float64, expected an integer": lambda: biases.t5_buckets(
        np.zeros(3)
    ),
    "init_t5: buckets is 5, expected an even number": lambda: biases.init_t5(
        jax.random.key(0), heads=2, buckets=5
    ),
    "relative: table has shape (8, 3), expected (m, h) with an odd m": lambda: biases.relative(
        TABLE
    ),
    "kerple_log: rate has shape (2,), expected (h) with h=3 (from amplitude)": (
        lambda: biases.kerple_log(POSITIVE[0], POSITIVE[0, :2])
    ),
    "sandwich: features is 5, expected an even number": lambda: biases.sandwich(
        POSITIVE[0], features=5
    ),
    "alibi: slopes is a list, expected an array": lambda: biases.alibi([1.0]),
    "biases: cannot add biases of h=3 and h=2": lambda: (
        biases.alibi(POSITIVE[0]) + biases.alibi(np.ones(2))
    ),
    "biases: cannot add a ndarray to a bias, expected a bias": lambda: (
        np.ones(3) + biases.alibi(POSITIVE[0])
    ),
    "biases: cannot add a int to a bias": lambda: biases.alibi(POSITIVE[0]) + 1,
    "of_distances: distances has dtype float64, expected an integer dtype": lambda: biases.alibi(
        POSITIVE[0]
    ).of_distances(np.zeros(3)),
    "dense: t is -1, expected at least 0": lambda: biases.alibi(POSITIVE[0]).dense(-1, 3),
    "dense: offset is 8589934592, expected at most 2**30 from zero": lambda: biases.alibi(
        POSITIVE[0]
    ).dense(2, 3, offset=2**33),
    "dense: offset has shape (2,), expected one integer": lambda: biases.alibi(POSITIVE[0]).dense(
        2, 3, offset=np.arange(2)
    ),
    "dense: dtype is int32, expected a floating-point dtype": lambda: biases.alibi(
        POSITIVE[0]
    ).dense(2, 3, dtype=np.int32),
}


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_are_refused_by_name(message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        MISTAKES[message]()
