# pyright: reportArgumentType=false, reportOperatorIssue=false
"""Masks against their definitions, enumerated pair by pair; their algebra, jit, vmap and errors."""

import itertools
import operator
import re

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import (
    each,
    having,
    leaves_of,
    masked,
    output_axes,
    takes,
    with_options,
)

import jattn
from jattn import masks, testing
from jattn.masks.hulls import hull
from jattn.masks.spans import spans
from jattn.testing.properties import ROUNDING

T, S = 4, 6
QUERY_IDS, KEY_IDS = np.array([0, 0, 1, 3]), np.array([0, 1, 1, 0, 2, 3])
ARRAY = np.random.default_rng(0).random((T, S)) < 0.5


def enumerated(definition, t=T, s=S):
    """The mask that a definition gives, one pair at a time."""
    return np.array([[bool(definition(q, k)) for k in range(s)] for q in range(t)]).reshape(t, s)


def assert_is(mask, definition, t=T, s=S):
    dense = mask.dense(t, s)
    assert dense.dtype == bool
    np.testing.assert_array_equal(dense, enumerated(definition, t, s))


def multiple_of_three(q, k):
    return q in (0, 3) or k in (0, 3)


# Every factory with a definition of its own.
DEFINED = {
    "causal": (masks.causal(), lambda q, k: k <= q),
    "causal, bottom-right": (masks.causal(S - T), lambda q, k: S - k >= T - q),
    "causal, offset below 0": (masks.causal(-2), lambda q, k: k <= q - 2),
    "window": (masks.window(1, 2), lambda q, k: k in range(q - 1, q + 3)),
    "window of one": (masks.window(0, 0, 1), lambda q, k: k == q + 1),
    "window, open": (masks.window(None, 0), lambda q, k: k <= q),
    "window, all open": (masks.window(None, None), lambda q, k: True),
    "lengths": (masks.lengths(3), lambda q, k: k in range(3)),
    "lengths, both": (masks.lengths(3, 2), lambda q, k: k in range(3) and q in range(2)),
    "lengths, none": (masks.lengths(0), lambda q, k: False),
    "segments": (masks.segments(QUERY_IDS, KEY_IDS), lambda q, k: QUERY_IDS[q] == KEY_IDS[k]),
    "prefix": (masks.prefix(2), lambda q, k: k in (0, 1)),
    "prefix language model": (masks.prefix(2) | masks.causal(), lambda q, k: k < 2 or k <= q),
    "dilated": (masks.dilated(2), lambda q, k: q % 2 == k % 2),
    "dilated, three": (masks.dilated(3), lambda q, k: q % 3 == k % 3),
    "blocks": (masks.blocks(2), lambda q, k: {q, k} in ({0}, {1}, {2}, {3}, {0, 1}, {2, 3})),
    "global tokens": (masks.global_tokens(1), lambda q, k: q == 0 or k == 0),
    "dense": (masks.dense(ARRAY), lambda q, k: ARRAY[q, k]),
    "dilated, offset": (masks.dilated(3, 4), lambda q, k: k in (q + 1, q + 4, q - 2)),
    "blocks, offset": (masks.blocks(2, 1), lambda q, k: k in ((0, 1), (2, 3), (2, 3), (4, 5))[q]),
    "blocks, offset below 0": (masks.blocks(3, -2), lambda q, k: (q >= 2) == (k < 3) and k < 3),
    "global tokens, offset": (masks.global_tokens(3, 2), lambda q, k: q == 0 or k in range(3)),
    "global tokens, offset below 0": (
        masks.global_tokens(2, -1),
        lambda q, k: q in (1, 2) or k in range(2),
    ),
    "rule of one's own": (masks.Mask(lambda q, k, n: (q * k) % n == 0, (3,)), multiple_of_three),
}


@pytest.mark.parametrize("name", DEFINED)
def test_masks_are_what_they_are_defined_to_be(name):
    assert_is(*DEFINED[name])


@pytest.mark.parametrize("name", DEFINED)
def test_S2_intervals_and_spans_hold_every_key_that_a_mask_shows(name):
    """For the engine, which skips keys outside of them."""
    mask, definition = DEFINED[name]
    pairs = enumerated(definition)
    rows = jnp.arange(T)
    start, stop = (np.asarray(x)[:, None] for x in hull(mask, rows, S))
    keys = np.arange(S)[None]
    assert not pairs[(keys < start) | (keys >= stop)].any()
    first, after = spans(mask, np.array([0, 2]), np.array([2, T]), S)
    for block in range(2):
        hidden = [key for key in range(S) if not first[block] <= key < after[block]]
        assert not pairs[2 * block : 2 * block + 2, hidden].any()


@pytest.mark.parametrize("number", [int, np.int64, jnp.asarray])
def test_S2_intervals_of_blocks_are_exact_at_any_offset(number):
    for size, offset in itertools.product((1, 2, 3, 5, 2**40), (-7, -1, 0, 1, 4, 2**40)):
        mask = masks.blocks(number(size), number(offset))
        pairs = enumerated(lambda q, k, n=size, o=offset: k // n == (q + o) // n)
        np.testing.assert_array_equal(mask.dense(T, S), pairs)
        start, stop = hull(mask, jnp.arange(T), S)
        np.testing.assert_array_equal(np.maximum(stop - start, 0), pairs.sum(-1))


def test_segments_of_one_sequence_need_one_array_of_ids():
    assert_is(masks.segments([0, 0, 1]), lambda q, k: (q < 2) == (k < 2), 3, 3)


@pytest.mark.parametrize(("t", "s"), [(4, 4), (2, 5), (5, 2), (1, 5), (5, 1), (0, 3), (3, 0)])
def test_S1_causal_offsets_place_the_last_key_of_each_query(t, s):
    for offset in range(-t, s + 1):
        mask = np.asarray(masks.causal(offset).dense(t, s))
        for query in range(t):
            assert mask[query].sum() == np.clip(query + offset + 1, 0, s)
            assert not mask[query, mask[query].sum() :].any()
    if 0 < t <= s:
        assert masks.causal(s - t).dense(t, s)[-1].all()


def test_S2_windows_are_what_enumeration_gives_for_every_size_and_offset():
    sides = (None, *range(S + 1))
    for left, right, offset in itertools.product(sides, sides, range(-2, 3)):
        assert_is(
            masks.window(left, right, offset),
            lambda q, k, left=left, right=right, offset=offset: (
                (left is None or q + offset - k <= left)
                and (right is None or k - (q + offset) <= right)
            ),
            3,
            5,
        )


# Where a query depends on those before it, a step takes a state: see test_alignment.py.
@each("row", [row for row in having("mask", "query") if "C2" not in row.exceptions])
def test_S1_S2_a_step_of_decoding_is_a_row_of_the_full_pass(row):
    """Queries one at a time, each at its own offset; and a window over everything is no mask."""
    call = masked(row)
    inputs = call.inputs()
    t, s = call.sizes["t"], call.sizes["s"]
    local = takes(row, "offset")

    def one_query(index):
        here = lambda leaf, x: x[index][None] if leaf.leading == "t" else x
        leaves, structure = jax.tree.flatten(inputs)
        own = jax.tree.unflatten(
            structure,
            [here(leaf, jnp.asarray(x)) for leaf, x in zip(leaves_of(call), leaves, strict=True)],
        )
        options = {"mask": masks.causal(offset=index + s - t)}
        if local:
            options["offset"] = index + call.case.options.get("offset", 0)
        return with_options(call, **options).function(*own)

    def run():
        full = with_options(call, mask=masks.causal(offset=s - t)).function(*inputs)
        steps = jax.vmap(one_query)(jnp.arange(t))
        every = with_options(call, mask=None).function(*inputs)
        wide = with_options(call, mask=masks.window(s, s)).function(*inputs)
        return full, steps, every, wide

    full, steps, every, wide = jax.jit(run)()
    ordered = [
        np.moveaxis(np.take(np.asarray(leaf), 0, axes.index("t") + 1), 0, axes.index("t"))
        for leaf, axes in zip(jax.tree.leaves(steps), output_axes(call), strict=True)
    ]
    units = 8 if "N1" in row.exceptions else 4
    testing.assert_close(ordered, jax.tree.leaves(full), units * ROUNDING["float64"])
    # Not the same bits: XLA fuses the two differently.
    testing.assert_close(wide, every, units * ROUNDING["float64"])


def expressions():
    """Masks built of masks, each with the same expression of arrays."""
    leaves = st.sampled_from(sorted(DEFINED)).map(
        lambda name: (DEFINED[name][0], enumerated(DEFINED[name][1]))
    )
    apply = lambda rule: lambda pair: (rule(pair[0][0], pair[1][0]), rule(pair[0][1], pair[1][1]))
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            inner.map(lambda one: (~one[0], ~one[1])),
            st.tuples(inner, inner).map(apply(operator.and_)),
            st.tuples(inner, inner).map(apply(operator.or_)),
            inner.map(lambda one: (one[0] & ARRAY, one[1] & ARRAY)),
            inner.map(lambda one: (ARRAY | one[0], ARRAY | one[1])),
        ),
        max_leaves=5,
    )


@hypothesis.settings(max_examples=40, deadline=None, derandomize=True)
@hypothesis.given(expressions())
def test_M3_masks_combine_as_booleans(pair):
    mask, expected = pair
    np.testing.assert_array_equal(mask.dense(T, S), expected)
    rows, columns = np.arange(T)[1:3, None], np.arange(S)[None, 2:]
    with jax.numpy_rank_promotion("allow"):
        seen = np.broadcast_to(mask.at(rows, columns), (2, S - 2))
    np.testing.assert_array_equal(seen, expected[1:3, 2:])


def test_masks_combine_with_jax_arrays_on_either_side():
    array, mask = jnp.asarray(ARRAY), masks.causal()
    expected = ARRAY & enumerated(lambda q, k: k <= q)
    for both in (mask & array, array & mask):
        np.testing.assert_array_equal(both.dense(T, S), expected)


def test_masks_are_pytrees_whose_python_integers_are_static():
    mask = masks.window(1, None) & ~masks.lengths(jnp.asarray(3)) | masks.dense(ARRAY)
    leaves, structure = jax.tree.flatten(mask)
    assert [leaf.shape for leaf in leaves] == [(), (T, S)]
    np.testing.assert_array_equal(
        jax.tree.unflatten(structure, leaves).dense(T, S), mask.dense(T, S)
    )
    again = masks.window(1, None) & ~masks.lengths(jnp.asarray(5)) | masks.dense(~ARRAY)
    assert jax.tree.structure(again) == structure
    assert jax.tree.structure(masks.window(2, None)) != jax.tree.structure(masks.window(1, None))


def test_masks_pass_through_jit_and_trace_once():
    traces = []

    @jax.jit
    def dense(mask):
        traces.append(mask)
        return mask.dense(T, S)

    for length in (2, 5, 0):
        mask = masks.lengths(np.asarray(length)) & masks.causal()
        np.testing.assert_array_equal(
            dense(mask), enumerated(lambda q, k, length=length: k <= q and k < length)
        )
    assert len(traces) == 1


@pytest.mark.parametrize("dtype", ["int8", "uint32", "int64"])
def test_numbers_of_any_integer_dtype_are_positions(dtype):
    """Positions are int64 here, and nothing promotes by itself."""
    makers = {
        "causal": masks.causal,
        "window": lambda n: masks.window(n, n, n),
        "lengths": lambda n: masks.lengths(n, n),
        "both": lambda n: masks.causal(n) & masks.prefix(n),
        "others": lambda n: masks.dilated(n, n) | ~masks.blocks(n, n) & masks.global_tokens(n, n),
    }
    inputs = [jnp.asarray(np.random.default_rng(0).standard_normal((n, 1, 3))) for n in (T, S, S)]

    def run(number):
        found = {name: make(number) for name, make in makers.items()}
        attend = lambda mask: jattn.dot_product_attention(*inputs, mask=mask)
        return {
            name: (jnp.where(mask.dense(T, S), 1.0, 0.0), attend(mask))
            for name, mask in found.items()
        }

    testing.assert_close(jax.jit(run)(np.asarray(2, dtype)), run(2), 1e-14)


def test_masks_batch_under_vmap():
    lengths, offsets = np.array([0, 2, 6]), np.array([-1, 0, 3])
    batch = jax.vmap(lambda n, o: (masks.lengths(n, n) & masks.causal(o)).dense(T, S))
    for one, length, offset in zip(batch(lengths % 5, offsets), lengths % 5, offsets, strict=True):
        wanted = lambda q, k, n=length, o=offset: k < n and q < n and k <= q + o
        np.testing.assert_array_equal(one, enumerated(wanted))
    ids = np.stack([QUERY_IDS, QUERY_IDS[::-1]])
    of_ids = jax.vmap(lambda mask: mask.dense(T, T))(masks.segments(ids))
    np.testing.assert_array_equal(of_ids, ids[:, :, None] == ids[:, None, :])
    stacked = jax.vmap(lambda mask: mask.dense(T, S))(masks.dense(np.stack([ARRAY, ~ARRAY])))
    np.testing.assert_array_equal(stacked, np.stack([ARRAY, ~ARRAY]))


MISTAKES = {
    "masks.dense: array is float64[4, 6], expected bool[t, s]; pass an additive mask as bias": (
        lambda: masks.dense(np.zeros((T, S)))
    ),
    "masks.dense: array is float64[4, 6], expected bool[t, s]; it holds only 0 and 1, so": (
        lambda: masks.dense(ARRAY * 1.0)
    ),
    "masks.dense: array is a masked array of NumPy, expected a plain array": (
        lambda: masks.dense(np.ma.masked_array(ARRAY))
    ),
    "masks.segments: query_ids has dtype bool, expected an integer dtype": (
        lambda: masks.segments(np.array([True, False]))
    ),
    "masks.segments: key_ids has dtype float64, expected an integer dtype": (
        lambda: masks.segments([0, 1], [0.0, 1.0])
    ),
    "masks.segments: query_ids has shape (), expected one id for each position": (
        lambda: masks.segments(np.array(3))
    ),
    "mask has ids of shape (2, 4), expected one for each position; a batch of masks": (
        lambda: masks.segments(np.zeros((2, T), int), KEY_IDS).dense(T, S)
    ),
    "mask has an array of shape (2, 4, 6), expected (t, s); a batch of masks": (
        lambda: masks.dense(np.stack([ARRAY, ~ARRAY])).dense(T, S)
    ),
    "masks.blocks: size is 0, expected at least 1": lambda: masks.blocks(jnp.asarray(0)),
    "masks.window: left is -3, expected at least 0": lambda: masks.window(np.array(-3), 0),
    "masks.causal: offset is True, expected an integer": lambda: masks.causal(True),
    "masks.dense: array is bool[6], expected bool[t, s]": lambda: masks.dense(ARRAY[0]),
    "masks.dense: array is list[2, 1], expected bool[t, s]": lambda: masks.dense([[True], [True]]),
    "masks: cannot combine masks for s=6 and s=5": lambda: masks.dense(ARRAY) & ARRAY[:, :5],
    "mask has t=4, expected 3": lambda: masks.dense(ARRAY).dense(3, S),
    "mask has s=6, expected 7": lambda: (masks.causal() | ARRAY).dense(T, 7),
    "masks.window: left is -1, expected at least 0": lambda: masks.window(-1, 0),
    "masks.window: right is -2, expected at least 0": lambda: masks.window(None, -2),
    "masks.causal: offset is 1.5, expected an integer": lambda: masks.causal(1.5),
    "masks.window: left is a, expected an integer": lambda: masks.window("a", 0),
    "masks.lengths: key_lengths is None, expected an integer": lambda: masks.lengths(None),
    "masks.prefix: length is [2.]": lambda: masks.prefix(np.array([2.0])),
    "masks.blocks: size is 2.5, expected an integer": lambda: masks.blocks(2.5),
    "masks.dilated: step is 0, expected at least 1": lambda: masks.dilated(0),
    "masks.blocks: size is -3, expected at least 1": lambda: masks.blocks(-3),
    "masks.lengths: key_lengths is 7, expected 0 to 6 (s)": lambda: masks.lengths(7).dense(T, S),
    "masks.lengths: query_lengths is -1, expected 0 to 4 (t)": (
        lambda: (masks.causal() & ~masks.lengths(2, -1)).dense(T, S)
    ),
}


@pytest.mark.parametrize("far", [2**31 - 1, 2**40])
def test_numbers_that_no_sequence_reaches_do_not_overflow(far):
    assert masks.causal(far).dense(T, S).all()
    assert not masks.causal(-far).dense(T, S).any()
    assert masks.window(far, far).dense(T, S).all()
    assert masks.prefix(far).dense(T, S).all()


@pytest.mark.parametrize("make", [np.asarray, jnp.asarray])
def test_I2_nor_do_arrays_of_them(make):
    """As a traced window may be, of a layer without one; positions are int32 without x64."""
    with jax.enable_x64(False):
        for far in (2**31 - 1, 2**31 - 2, 2**30):
            far, least = make(np.int32(far)), make(np.int32(-far))
            assert masks.causal(far).dense(T, S).all()
            assert not masks.causal(least).dense(T, S).any()
            assert masks.window(far, far).dense(T, S).all()
            assert masks.window(None, far, far).dense(T, S).all()
            assert not masks.window(None, 0, least).dense(T, S).any()
            assert masks.prefix(far).dense(T, S).all()


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_in_masks_are_named(message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        MISTAKES[message]()


@pytest.mark.parametrize(
    "mask",
    [masks.lengths(np.array([2, 3, 3])), masks.causal() | masks.prefix(jnp.array([1, 2, 3]))],
)
def test_a_batch_of_lengths_is_refused_outside_of_vmap(mask):
    """Three lengths and three keys would be compared one with the other, and nobody would know."""
    with pytest.raises(ValueError, match=r"shape \(3,\), expected one number; .* jax.vmap"):
        mask.dense(3, 3)
