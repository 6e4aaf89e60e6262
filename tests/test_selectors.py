# pyright: reportArgumentType=false
"""Selectors: the exact mask of the oracle, ties, hidden keys, and gradients through a choice."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import leaves_of, takes, with_options

import jattn
from jattn import masks, selectors
from jattn.catalog.selectors import SELECTORS

CASES = [case for row in SELECTORS for case in row.calls()]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
each_last = pytest.mark.parametrize(
    "case", [row.calls()[-1] for row in SELECTORS], ids=lambda case: case.name
)


PROGRAMS = {case.name: jax.jit(case.function) for case in CASES}


def chosen(case, *inputs):
    """Returns the mask of one case, by a program that is compiled once for each case."""
    return np.asarray(PROGRAMS[case.name](*inputs))


@each_case
def test_a_choice_is_the_oracles(case):
    """Inputs of integers tie often, and are exact in every order of summation."""
    for seed in range(8):
        drawn = case.inputs(seed)
        for inputs in (drawn, tuple(np.round(2 * x) for x in drawn)):
            expected, pullback = case.oracle(*inputs)
            np.testing.assert_array_equal(chosen(case, *inputs), expected, f"{seed}")
            assert not any(gradient.any() for gradient in pullback(expected))


@each_case
def test_a_batch_and_half_precision_choose_alike(case):
    inputs = [tuple(np.round(4 * x) for x in case.inputs(seed)) for seed in range(3)]
    expected = np.stack([case.oracle(*each)[0] for each in inputs])
    batch = [np.stack(arrays) for arrays in zip(*inputs, strict=True)]
    for dtype in ("float64", "bfloat16"):
        found = jax.jit(jax.vmap(case.function))(*(jnp.asarray(x, dtype) for x in batch))
        assert found.dtype == bool
        np.testing.assert_array_equal(found, expected, dtype)


@each_last
def test_hidden_keys_are_never_chosen_and_change_nothing(case):
    """Their entries may be NaN, and the lengths that hide them may be traced."""
    inputs, s = case.inputs(), case.sizes["s"]
    length = s - 2

    @jax.jit
    def run(inputs, length):
        return with_options(case, mask=masks.lengths(length)).function(*inputs)

    def poisoned(leaf, array):
        if "s" not in leaf.axes:
            return array
        hidden = np.arange(s) >= length
        axis = leaf.axes.index("s")
        return np.where(hidden.reshape(-1, *(1,) * (array.ndim - 1 - axis)), np.nan, array)

    clean = np.asarray(run(inputs, length))
    assert clean.any()
    assert not clean[:, length:].any()
    changed = tuple(map(poisoned, leaves_of(case), inputs))
    assert any(np.isnan(x).any() for x in changed)
    rows = slice(length if case.sizes["t"] == s else None)  # Of queries that are keys too.
    np.testing.assert_array_equal(np.asarray(run(changed, length))[rows], clean[rows])
    assert not np.asarray(run(inputs, 0)).any()


@each_last
def test_a_gradient_is_that_of_the_chosen_keys(case):
    """Of attention under the mask, as if it were given; and of second order too."""
    inputs = case.inputs()
    t, s = case.sizes["t"], case.sizes["s"]
    rng = np.random.default_rng(1)
    query, key, value = (rng.standard_normal((n, 3)) for n in (t, s, s))
    fixed = chosen(case, *inputs)

    def loss(inputs, query, mask=None):
        mask = case.function(*inputs) if mask is None else mask
        return (jattn.scaled_dot_product_attention(query, key, value, mask=mask).context ** 2).sum()

    of_inputs, of_query = jax.jit(jax.grad(loss, (0, 1)))(inputs, query)
    assert not any(np.asarray(gradient).any() for gradient in of_inputs)
    np.testing.assert_array_equal(of_query, jax.jit(jax.grad(loss, 1))(inputs, query, fixed))


@each_last
def test_wrong_arguments_are_named(case):
    inputs = case.inputs()
    name = case.mechanism.name
    with pytest.raises(ValueError, match=f"^{name}: .* has shape"):
        case.function(inputs[0][None, None], *inputs[1:])
    with pytest.raises(ValueError, match=f"^{name}: .* dtype"):
        case.function(inputs[0].astype(int), *inputs[1:])
    with pytest.raises(ValueError, match=f"^{name}: mask has dtype"):
        with_options(case, mask=np.ones((case.sizes["t"], case.sizes["s"]))).function(*inputs)
    if takes(case.mechanism, "count"):
        with pytest.raises(ValueError, match=f"^{name}: count is -1"):
            with_options(case, count=-1).function(*inputs)


REFUSED = [
    ({"stride": 3}, "block_size is 4, expected at least 1 and a multiple of stride=3"),
    ({"compressed_size": 3, "stride": 2}, "compressed_size is 3, expected at least 1 and a"),
    ({"count": 2}, r"count is 2, expected at least initial \+ local = 3"),
    ({"block_size": 0}, "block_size is 0, expected at least 1"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_sizes_of_blocks_that_do_not_fit_are_refused(options, message):
    rows = np.ones((8, 3))
    sizes = {"block_size": 4, "count": 3, **options}
    with pytest.raises(ValueError, match=f"^native_blocks: {message}"):
        selectors.native_blocks(rows, rows, **sizes)
    branches = np.ones((8, 3, 3))
    with pytest.raises(ValueError, match=f"^native_sparse_attention: {message}"):
        jattn.native_sparse_attention(*(branches,) * 4, window=2, **sizes)


def test_pooling_and_buckets_of_a_wrong_size_are_refused():
    branches = np.ones((8, 3, 3))
    with pytest.raises(ValueError, match=r"^native_sparse_attention: pooling has shape"):
        jattn.native_sparse_attention(
            *(branches,) * 4, block_size=4, count=3, window=2, pooling=np.ones((2, 3))
        )
    with pytest.raises(ValueError, match=r"^lsh_rotations: buckets is 5, expected an even number"):
        selectors.lsh_rotations(jax.random.key(0), size=3, buckets=5)


def test_a_count_and_an_offset_may_be_traced():
    rng = np.random.default_rng(0)
    query, key = rng.standard_normal((2, 9, 4))

    @jax.jit
    def run(count, offset):
        return selectors.moba(query[5:], key, block_size=2, count=count, offset=offset)

    whole = selectors.moba(query, key, block_size=2, count=3)
    np.testing.assert_array_equal(run(np.int32(3), np.int32(5)), whole[5:])
    best = jax.jit(lambda count: selectors.top_k(query @ key.T, count=count))
    np.testing.assert_array_equal(best(np.int64(4)).sum(1), 4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_lowest_score_is_chosen_before_hidden_keys(dtype):
    lowest = np.finfo(dtype).min
    scores = jnp.asarray([[5.0, lowest, 3.0, -np.inf]], dtype)
    mask = np.array([[False, True, True, True]])
    found = selectors.top_k(scores, mask, count=3)
    np.testing.assert_array_equal(found, [[False, True, True, False]])


def test_the_engine_takes_a_choice_of_each_head():
    """A mask for each head has the axes that the engine's masks have."""
    rng = np.random.default_rng(0)
    query, key, value = rng.standard_normal((3, 2, 12, 4, 8))
    choose = functools.partial(selectors.moba, block_size=3, count=2)
    mask = jax.vmap(jax.vmap(choose, (1, 1)))(query, key)
    assert mask.shape == (2, 4, 12, 12)
    found = jattn.dot_product_attention(query, key, value, mask=mask)
    for b, h in np.ndindex(2, 4):
        arrays = (x[b, :, h] for x in (query, key, value))
        one = jattn.scaled_dot_product_attention(*arrays, mask=mask[b, h]).context
        np.testing.assert_allclose(found[b, :, h], one, atol=1e-13)


def test_rounds_of_hashing_are_independent():
    rng = jax.random.key(0)
    rotations = selectors.lsh_rotations(rng, size=4, buckets=6, rounds=3)
    assert rotations.shape == (3, 4, 3)
    query = np.random.default_rng(0).standard_normal((20, 4))
    each = [selectors.lsh(query, one[None]) & ~np.eye(20, dtype=bool) for one in rotations]
    union = selectors.lsh(query, rotations) & ~np.eye(20, dtype=bool)
    np.testing.assert_array_equal(union, np.any(each, axis=0))
