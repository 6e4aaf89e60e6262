# pyright: reportArgumentType=false, reportCallIssue=false
"""Patterns of papers against their definitions, pair by pair; what the engine skips of them."""

import functools
import itertools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from attending import QUICK, attention, narrowed

import jattn
from jattn import engine, masks, testing
from jattn.masks.hulls import hull
from jattn.masks.shifted import shifted
from jattn.masks.spans import spans
from jattn.oracle.engine.dot_product import dot_product_attention as oracle
from jattn.testing.trees import draw_like

RNG: Any = np.random.default_rng(0)
KEY = jax.random.key(3)
GLOBAL = np.isin(np.arange(12), (0, 7))


def nearest(query, length, size, dilation=1, is_causal=False):
    """The nearest keys, of those at multiples of the dilation; of two at a distance the earlier."""
    keys = [key for key in range(length) if (key - query) % dilation == 0]
    if is_causal:
        return [key for key in keys if key <= query][-size:]
    return sorted(keys, key=lambda key: (abs(key - query), key > query))[:size]


def of_axes(grid, seen_along):
    """A pair of a grid is seen if it is seen along each axis."""

    def seen(query, key):
        places = zip(np.unravel_index(query, grid), np.unravel_index(key, grid), strict=True)
        return all(k in seen_along(q, axis) for axis, (q, k) in enumerate(places))

    return seen


def windows_of(grid, size, shift):
    """Swin's: the grid is rolled and cut, and what was wrapped is another region."""

    def along(query, axis):
        length = grid[axis]
        place = lambda x: ((x - shift[axis]) % length // size[axis], x < shift[axis])
        return [key for key in range(length) if place(key) == place(query)]

    return of_axes(grid, along)


def line_of(grid, axis):
    whole = lambda q, of: range(grid[of]) if of == axis else [q]
    return of_axes(grid, whole)


def diffusion(length, size):
    tokens = [(is_clean, i // size) for is_clean in (False, True) for i in range(length)]

    def seen(query, key):
        (clean_query, block_of_query), (clean_key, block_of_key) = tokens[query], tokens[key]
        if not clean_key:
            return not clean_query and block_of_query == block_of_key
        return block_of_key < block_of_query + clean_query

    return seen


GRID = (4, 5)
# A mask, the numbers of queries and keys, and which pairs it shows.
CASES: dict[str, tuple[masks.Mask, int, int, Any]] = {
    "neighbourhood": (masks.neighbourhood(3, 9), 9, 9, lambda q, k: k in nearest(q, 9, 3)),
    "neighbourhood, even": (masks.neighbourhood(4, 9), 9, 9, lambda q, k: k in nearest(q, 9, 4)),
    "neighbourhood, dilated": (
        masks.neighbourhood(3, 11, dilation=2),
        *(11, 11, lambda q, k: k in nearest(q, 11, 3, 2)),
    ),
    "neighbourhood, dilated and even": (
        masks.neighbourhood(2, 13, dilation=5),
        *(13, 13, lambda q, k: k in nearest(q, 13, 2, 5)),
    ),
    "neighbourhood, causal": (
        masks.neighbourhood(3, 9, dilation=2, is_causal=True),
        *(9, 9, lambda q, k: k in nearest(q, 9, 3, 2, is_causal=True)),
    ),
    "neighbourhood, offset": (
        masks.neighbourhood(5, 9, offset=6),
        *(3, 9, lambda q, k: k in nearest(q + 6, 9, 5)),
    ),
    "grid neighbourhood": (
        masks.grid_neighbourhood(GRID, 3),
        *(20, 20, of_axes(GRID, lambda q, axis: nearest(q, GRID[axis], 3))),
    ),
    "grid neighbourhood, dilated": (
        masks.grid_neighbourhood((7, 3), (2, 3), dilation=(3, 1)),
        *(21, 21, of_axes((7, 3), lambda q, i: nearest(q, (7, 3)[i], (2, 3)[i], (3, 1)[i]))),
    ),
    "grid neighbourhood, causal": (
        masks.grid_neighbourhood((4, 2, 2), (2, 1, 2), is_causal=(True, False, False)),
        *(
            16,
            16,
            of_axes((4, 2, 2), lambda q, i: nearest(q, (4, 2, 2)[i], (2, 1, 2)[i], 1, not i)),
        ),
    ),
    "grid windows": (
        masks.grid_windows((4, 6), (2, 3)),
        *(24, 24, windows_of((4, 6), (2, 3), (0, 0))),
    ),
    "grid windows, shifted": (
        masks.grid_windows((6, 6), 3, shift=(1, 2)),
        *(36, 36, windows_of((6, 6), (3, 3), (1, 2))),
    ),
    "axial, rows": (masks.axial(GRID, 1), 20, 20, line_of(GRID, 1)),
    "axial, columns": (masks.axial(GRID, 0), 20, 20, line_of(GRID, 0)),
    "axial, of three": (masks.axial((2, 3, 4), -2), 24, 24, line_of((2, 3, 4), 1)),
    "strided": (
        masks.strided(3),
        *(11, 11, lambda q, k: k in {*range(max(0, q - 3), q + 1), *range(q, -1, -3)}),
    ),
    "fixed": (
        masks.fixed(4, 2),
        *(11, 11, lambda q, k: k <= q and (k // 4 == q // 4 or k % 4 in (2, 3))),
    ),
    "fixed, another part": (
        masks.fixed(5, 2, part=1),
        *(13, 13, lambda q, k: k <= q and (k // 5 == q // 5 or k % 5 in (1, 2))),
    ),
    "block window": (
        masks.block_window(3, 1, 0),
        *(11, 10, lambda q, k: k // 3 in (q // 3 - 1, q // 3)),
    ),
    "block window, open": (
        masks.block_window(3, None, 1, 2),
        7,
        12,
        lambda q, k: k < (q + 2) // 3 * 3 + 6,
    ),
    "longformer": (
        masks.longformer(2, GLOBAL, dilation=2),
        *(12, 12, lambda q, k: k in (q - 4, q - 2, q, q + 2, q + 4) or {q, k} & {0, 7}),
    ),
    "longformer, no global token": (masks.longformer(1), 5, 7, lambda q, k: k in (q - 1, q, q + 1)),
    "global positions": (
        masks.global_positions(GLOBAL[:8], GLOBAL[4:]),
        *(8, 8, lambda q, k: q in (0, 7) or k == 3),
    ),
    "streaming": (
        masks.streaming(3, 2),
        *(9, 9, lambda q, k: k in (q - 2, q - 1, q) or (k < 2 and k <= q)),
    ),
    "block diffusion": (masks.block_diffusion(6, 2), 12, 12, diffusion(6, 2)),
    "block diffusion, smaller last": (masks.block_diffusion(7, 3), 14, 14, diffusion(7, 3)),
    "big bird": (
        masks.big_bird(KEY, 23, block_size=2, random_blocks=2),
        *(23, 23, lambda q, k: bool(BLOCKS[q // 2, k // 2])),
    ),
}
# Of the last case, looked at by itself in a test below.
BLOCKS = np.asarray(masks.big_bird(KEY, 24, block_size=2, random_blocks=2).dense(24, 24))[::2, ::2]
PAIRS = {
    name: np.array([[bool(seen(q, k)) for k in range(s)] for q in range(t)])
    for name, (_, t, s, seen) in CASES.items()
}


@pytest.mark.parametrize("name", CASES)
def test_patterns_are_what_they_are_defined_to_be(name):
    mask, t, s, _ = CASES[name]
    dense = mask.dense(t, s)
    assert dense.dtype == bool
    np.testing.assert_array_equal(dense, PAIRS[name])
    np.testing.assert_array_equal(jax.jit(lambda mask: mask.dense(t, s))(mask), PAIRS[name])
    part = shifted(mask, 2, 1).dense(t - 2, s - 1)
    np.testing.assert_array_equal(part, PAIRS[name][2:, 1:])


@pytest.mark.parametrize("name", CASES)
def test_S2_spans_and_hulls_hold_every_key_that_a_pattern_shows(name):
    """For each size of blocks, also of a part of the sequence; the engine skips other keys."""
    mask, t, s, _ = CASES[name]
    pairs, keys = PAIRS[name], np.arange(s)
    for size in (1, 2, 3, 5, t):
        starts = np.arange(0, t, size)
        first, after = spans(mask, starts, np.minimum(starts + size, t), s)
        assert (after <= s).all()
        for start, low, high in zip(starts, first, after, strict=True):
            assert not pairs[start : start + size, (keys < low) | (keys >= high)].any()
    for found, inside in (
        (hull(mask, jnp.arange(t), s), pairs),
        (hull(shifted(mask, jnp.asarray(2), 1), jnp.arange(t - 2), s - 1), pairs[2:, 1:]),
    ):
        start, stop = (np.asarray(x)[:, None] for x in found)
        of_part = np.arange(inside.shape[1])
        assert not inside[(of_part < start) | (of_part >= stop)].any()


EXACT = [
    *("neighbourhood", "neighbourhood, even", "neighbourhood, offset", "block window"),
    "block window, open",
]


@pytest.mark.parametrize("name", EXACT)
def test_S2_intervals_are_exact_where_keys_are_intervals(name):
    mask, t, s, _ = CASES[name]
    start, stop = hull(mask, jnp.arange(t), s)
    np.testing.assert_array_equal(stop - start, PAIRS[name].sum(1))


ATTENDED = [
    *("neighbourhood", "neighbourhood, dilated", "grid neighbourhood", "grid windows, shifted"),
    *("fixed", "block window", "longformer", "block diffusion", "big bird"),
]


@pytest.mark.parametrize("name", ATTENDED)
def test_G1_C2_attention_by_a_pattern_is_attention_by_its_array(name):
    """In the paper function, in chunks, by scores of one's own, and in every plan of the engine."""
    mask, t, s, _ = CASES[name]
    query, key, value = (RNG.standard_normal((1, n, 2, 3)) for n in (t, s, s))
    expected, pullback = oracle(query, key, value, mask=PAIRS[name])
    cotangent = draw_like(expected, 1)
    calls = {
        "paper": jax.vmap(paper_of(mask), in_axes=1, out_axes=1),
        "flex": functools.partial(jattn.flex_attention, score=double, params=0.5, mask=mask),
        "grouped": functools.partial(attention, mask=mask, chunk_size=2, planner=engine.grouped),
        "banded": functools.partial(attention, mask=mask, chunk_size=3, planner=engine.banded),
    }
    in_batch = lambda call, *x: call(*(x[0] for x in x))[None]
    calls["paper"] = functools.partial(in_batch, calls["paper"])

    def slope(mask, *arrays):  # The mask's arrays are known only to a run.
        call = functools.partial(attention, mask=mask, chunk_size=2, planner=narrowed)
        found, transpose = jax.vjp(call, *arrays)
        return found, transpose(cotangent)

    run = lambda *arrays: [call(*arrays) for call in calls.values()]
    for found in jax.jit(run, compiler_options=QUICK)(query, key, value):
        testing.assert_close(found, expected, 1e-12)
    of_head = (x[0, :, 0] for x in (query, key, value))
    found = jattn.in_chunks(jattn.scaled_dot_product_attention, 3)(*of_head, mask=mask).context
    testing.assert_close(found, expected[0, :, 0], 1e-12)
    context, gradient = jax.jit(slope, compiler_options=QUICK)(mask, query, key, value)
    testing.assert_close(context, expected, 1e-12)
    testing.assert_close(gradient, pullback(cotangent), 1e-12)


def paper_of(mask):
    return lambda *arrays: jattn.scaled_dot_product_attention(*arrays, mask=mask).context


def double(scores, at, half):
    return 2.0 * half * scores


def share(mask, t, **options):
    """Of all pairs, those for which the plan computes scores."""
    shape = jax.ShapeDtypeStruct((1, t, 1, 32), "float32")
    return engine.plan(shape, shape, shape, mask=mask, **options).scores / t**2


LINEAR = {
    "neighbourhood": lambda t: masks.neighbourhood(65, t),
    "neighbourhood, dilated": lambda t: masks.neighbourhood(33, t, dilation=4),
    "neighbourhood, causal": lambda t: masks.neighbourhood(65, t, is_causal=True),
    "grid neighbourhood": lambda t: masks.grid_neighbourhood((t // 64, 64), 5),
    "grid windows": lambda t: masks.grid_windows((t // 64, 64), 8, shift=4),
    "axial": lambda t: masks.axial((t // 64, 64), 1),
    "block window": lambda t: masks.block_window(64, 1, 1),
    "longformer": lambda t: masks.longformer(64),
}


@pytest.mark.parametrize("name", LINEAR)
def test_the_work_of_local_patterns_does_not_grow_with_the_square_of_the_length(name):
    first, second = (share(LINEAR[name](t), t) * t for t in (4096, 16384))  # Keys of a query.
    assert second < min(1.5 * first, 1200)
    chunk = {"chunk_size": 128, "planner": engine.grouped}
    assert share(LINEAR[name](4096), 4096, **chunk) < 0.3


def test_block_diffusion_skips_what_neither_copy_shows():
    """A quarter of all pairs is shown, and no noised key to a clean query."""
    assert share(masks.block_diffusion(4096, 128), 8192) < 0.7
    starts = np.arange(4096, 8192, 128)
    first, after = spans(masks.block_diffusion(4096, 128), starts, starts + 128, 8192)
    np.testing.assert_array_equal(first, 4096)
    np.testing.assert_array_equal(after, starts + 128)


@pytest.mark.parametrize("dtype", ["int8", "uint32", "int64"])
def test_V1_numbers_that_are_traced_are_the_same_numbers(dtype):
    makers = {
        "neighbourhood": lambda n: masks.neighbourhood(n, 4 * n, offset=n - 2),
        "dilated": lambda n: masks.neighbourhood(n, 4 * n, dilation=n),
        "blocks": lambda n: masks.block_window(n, n, n, n) & masks.fixed(n, n - 1, offset=n),
        "others": lambda n: masks.strided(n, n) | masks.streaming(n, n, n) | masks.longformer(n),
        "grids": lambda n: masks.axial((4, 2), 1, n) | masks.grid_windows((4, 2), 2, offset=n),
        "diffusion": lambda n: masks.block_diffusion(2 * n, n),
    }
    dense = lambda number: {name: make(number).dense(8, 8) for name, make in makers.items()}
    found = jax.jit(dense)(np.asarray(2, dtype))
    jax.tree.map(np.testing.assert_array_equal, found, dense(2))


def test_V1_sequences_of_a_batch_have_borders_of_their_own():
    lengths = np.array([5, 9, 6, 2])  # The last is shorter than its windows.
    dense = jax.vmap(lambda n: (masks.neighbourhood(3, n) & masks.lengths(n, n)).dense(9, 9))
    for found, length in zip(dense(lengths), lengths, strict=True):
        wanted = [[k in nearest(q, length, 3) and q < length for k in range(9)] for q in range(9)]
        np.testing.assert_array_equal(found, wanted)


def test_S1_a_step_of_decoding_is_a_row_of_the_whole_mask():
    whole = masks.neighbourhood(3, 9, dilation=2, is_causal=True) & masks.streaming(4, 1)
    step = lambda at: masks.neighbourhood(3, 9, dilation=2, is_causal=True, offset=at)
    rows = jax.vmap(lambda at: (step(at) & masks.streaming(4, 1, at)).dense(1, 9)[0])(jnp.arange(9))
    np.testing.assert_array_equal(rows, whole.dense(9, 9))


def test_far_numbers_do_not_overflow():
    with jax.enable_x64(False):
        far = 2**31 - 1
        wide = masks.block_window(64, far, far) & masks.block_window(far, 0, 0)
        for mask in (wide, masks.longformer(far), masks.streaming(far, far, 100)):
            assert mask.dense(100, 100).all()
        inputs = np.ones((1, 100, 1, 2), "float32")
        found = jattn.dot_product_attention(inputs, inputs, inputs, mask=wide, return_weights=True)
        testing.assert_close(found[1], np.full((1, 1, 100, 100), 0.01, "float32"), 1e-6)


@pytest.mark.parametrize(
    ("first", "last", "side", "count"), [(1, 1, 1, 3), (2, 0, 0, 1), (0, 1, 2, 100)]
)
def test_big_bird_has_random_blocks_that_are_neither_near_nor_global(first, last, side, count):
    n = 20
    sizes = {"side": side, "first_blocks": first, "last_blocks": last, "random_blocks": count}
    mask = masks.big_bird(KEY, 3 * n - 1, block_size=3, **sizes)
    dense = np.asarray(mask.dense(3 * n - 1, 3 * n - 1))
    pairs = dense[::3, ::3]
    np.testing.assert_array_equal(dense, np.kron(pairs, np.ones((3, 3), bool))[:-1, :-1])
    is_global = [block < first or block >= n - last for block in range(n)]
    for query, row in enumerate(pairs):
        regular = [is_global[query] or is_global[k] or abs(query - k) <= side for k in range(n)]
        assert row[regular].all()
        assert (row & ~np.array(regular)).sum() == min(count, n - sum(regular))


def test_big_bird_depends_on_its_key_alone():
    make = lambda rng: masks.big_bird(rng, 40, block_size=2).dense(40, 40)
    np.testing.assert_array_equal(make(KEY), jax.jit(make)(KEY))
    np.testing.assert_array_equal(make(KEY), jax.jit(lambda: make(KEY))())
    assert (make(KEY) != make(jax.random.key(4))).any()
    heads = jax.vmap(make)(jax.random.split(KEY, 3))
    assert (heads[0] != heads[1]).any()
    fair = np.mean([make(jax.random.key(seed))[20::2, :12:2] for seed in range(60)], (0, 1))[1:]
    assert (abs(fair - fair.mean()) < 0.12).all()


def test_T1_each_element_of_a_batch_may_have_blocks_and_global_tokens_of_its_own():
    draw = lambda rng: masks.big_bird(rng, 12, block_size=2, last_blocks=0, random_blocks=1)
    blocks, flags = jax.vmap(draw)(jax.random.split(KEY, 3)), np.eye(3, 12, 5, dtype=bool)
    mask = blocks & ~masks.global_positions(flags)
    pairs = jax.vmap(lambda mask: mask.dense(12, 12))(mask)
    assert (pairs[0] != pairs[1]).any()
    inputs = RNG.standard_normal((3, 3, 12, 1, 2))
    found = attention(*inputs, mask=mask)
    testing.assert_close(found, attention(*inputs, mask=pairs[:, None]), 1e-12)


MISTAKES = {
    "masks.neighbourhood: size is 0, expected at least 1": lambda: masks.neighbourhood(0, 5),
    "masks.neighbourhood: size is 6, expected at most 5 positions in all": (
        lambda: masks.neighbourhood(6, 5)
    ),
    "masks.neighbourhood: size is 3 and dilation 2, expected at most 5 positions in all": (
        lambda: masks.neighbourhood(3, 5, dilation=2)
    ),
    "masks.neighbourhood: is_causal is 1, expected True or False": (
        lambda: masks.neighbourhood(3, 5, is_causal=1)
    ),
    "mask has s=5, expected 6": lambda: masks.neighbourhood(3, 5).dense(6, 6),
    "masks.grid_neighbourhood: grid is 4, expected the number of tokens along each axis": (
        lambda: masks.grid_neighbourhood(4, 3)
    ),
    "masks.grid_neighbourhood: size is (3,), expected one number or 2 (axes of the grid)": (
        lambda: masks.grid_neighbourhood(GRID, (3,))
    ),
    "masks.grid_neighbourhood: size is 5, expected at most 4 positions": (
        lambda: masks.grid_neighbourhood(GRID, 5)
    ),
    "masks.grid_neighbourhood: dilation is (1, 0), expected at least 1": (
        lambda: masks.grid_neighbourhood(GRID, 2, dilation=(1, 0))
    ),
    "masks.grid_windows: shift is 3, expected less than 3 (size)": (
        lambda: masks.grid_windows((6, 6), 3, shift=3)
    ),
    "masks.grid_windows: size is 2.0, expected an integer": lambda: masks.grid_windows(GRID, 2.0),
    "mask has s=20, expected 21": lambda: masks.grid_windows(GRID, 2).dense(21, 21),
    "masks.axial: axis is 2, expected from -2 to 1": lambda: masks.axial(GRID, 2),
    "masks.axial: axis is True, expected an integer": lambda: masks.axial(GRID, True),
    "masks.strided: stride is 0, expected at least 1": lambda: masks.strided(0),
    "masks.fixed: count is 3 and part 1, expected at most 5 positions (size) in parts 0 to 1": (
        lambda: masks.fixed(5, 3, part=1)
    ),
    "masks.block_window: left is -1, expected at least 0": lambda: masks.block_window(3, -1, 0),
    "masks.longformer: side is -1, expected at least 0": lambda: masks.longformer(-1),
    "masks.longformer: offset is not 0, expected 0 with is_global": (
        lambda: masks.longformer(1, GLOBAL, offset=2)
    ),
    "masks.global_positions: is_global is int64[2], expected one boolean for each position": (
        lambda: masks.global_positions([0, 7])
    ),
    "masks.streaming: window_size is 0, expected at least 1": lambda: masks.streaming(0, 1),
    "masks.block_diffusion: size is 0, expected at least 1": lambda: masks.block_diffusion(4, 0),
    "mask has t=8, expected 4": lambda: masks.block_diffusion(4, 2).dense(4, 4),
    "masks.big_bird: rng is int, expected a key of jax.random.key": lambda: masks.big_bird(0, 9),
    "masks.big_bird: random_blocks is -1, expected at least 0": (
        lambda: masks.big_bird(KEY, 9, random_blocks=-1)
    ),
    "masks.big_bird: length is traced or an array, expected an integer that is known before": (
        lambda: masks.big_bird(KEY, jnp.asarray(9))
    ),
    "mask has t=9, expected 8": lambda: masks.big_bird(KEY, 9).dense(8, 8),
}


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_in_patterns_are_named(message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        MISTAKES[message]()


def test_S2_two_layers_reach_every_token_of_a_grid_or_of_the_past():
    reach = lambda first, second, t: np.asarray(first.dense(t, t)) @ np.asarray(second.dense(t, t))
    for first, second in itertools.permutations((0, 1)):
        assert reach(masks.axial(GRID, first), masks.axial(GRID, second), 20).all()
    past = np.tri(16, dtype=bool)
    np.testing.assert_array_equal(reach(masks.strided(4), masks.strided(4), 16), past)
