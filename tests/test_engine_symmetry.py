"""What batched attention must not notice, and positions by enumeration."""

import itertools

import jax
import numpy as np
import pytest
from attending import (
    CASES,
    DIFFERENTIABLE,
    PATHS,
    B,
    K,
    S,
    T,
    V,
    attention,
    cotangent_of,
    evaluate,
    without_infinity,
)
from compiled import assert_same_bits

from jattn import testing
from jattn.oracle.engine.dot_product import dot_product_attention as oracle
from jattn.testing.properties import ROUNDING
from jattn.testing.trees import draw_like

UNIT = ROUNDING["float64"]
OFFSETS = np.arange(-6, 7, dtype=np.int32)
CHUNK = 3


def drawn(t, s, heads=2, groups=1, leading=(), seed=0):
    rng = np.random.default_rng(seed)
    shapes = ((t, heads, K), (s, groups, K), (s, groups, V))
    return tuple(rng.standard_normal((*leading, *shape)) for shape in shapes)


def compiled(function):
    return jax.jit(function)


def value_and_gradient(function, *inputs):
    """The output and the gradient for a random cotangent, compiled."""
    cotangent = draw_like(jax.eval_shape(function, *inputs), 1)

    def run(inputs, cotangent):
        output, pullback = jax.vjp(function, *inputs)
        return output, pullback(cotangent)

    return jax.tree.map(np.asarray, compiled(run)(inputs, cotangent))


def weighed(path, t, s, **options):
    """Which weights are not zero, for every one of OFFSETS at once."""
    query, key, value = drawn(t, s)
    of_one = lambda offset: PATHS[path](
        query, key, value, query_offset=offset, return_weights=True, **options
    )[1]
    return np.asarray(np.asarray(compiled(jax.vmap(of_one))(OFFSETS)).any(1))


@pytest.mark.parametrize(
    ("path", "t", "s"), [("default", 3, 5), ("default", 5, 3), ("chunks of 2", 5, 3)]
)
def test_S1_causal_is_by_position(path, t, s):
    found = weighed(path, t, s, is_causal=True)
    for offset, pairs in zip(OFFSETS, found, strict=True):
        for query, key in np.ndindex(t, s):
            assert pairs[query, key] == (key <= query + offset), (offset, query, key)


@pytest.mark.parametrize("path", ["default", "grouped"])
def test_S1_offsets_are_numbers_or_arrays(path):
    """Known before the run or not, one for all or one for each element of the batch."""
    inputs = drawn(T, S, leading=(B,))
    run = lambda offset: PATHS[path](*inputs, is_causal=True, query_offset=offset)
    known = compiled(lambda: [run(offset) for offset in (0, S - T)])()
    for offset, wanted in zip((0, S - T), known, strict=True):
        (expected, _) = oracle(*inputs, is_causal=True, query_offset=offset)
        testing.assert_close(wanted, expected, 1e-14)
    traced = compiled(run)
    testing.assert_close(traced(np.int32(S - T)), known[1], 4 * UNIT)
    both = traced(np.array([0, S - T], np.int32))
    testing.assert_close(both, np.stack([known[0][0], known[1][1]]), 4 * UNIT)


def test_S1_a_row_of_the_full_pass_is_a_query_alone():
    """As in decoding with a cache, whose length is the offset."""
    query, key, value = drawn(S, S, leading=(B,))
    options = {"is_causal": True, "local_window_size": (3, 0), "return_residual": True}
    full = compiled(lambda: attention(query, key, value, **options))()
    one = compiled(lambda query, row: attention(query, key, value, query_offset=row, **options))
    for row in range(S):
        alone = one(query[:, row : row + 1], np.int32(row))
        testing.assert_close(alone, [x[:, row : row + 1] for x in full], 8 * UNIT)


def test_S2_windows_are_what_enumeration_gives():
    """Both ends inclusive, round every offset."""
    t, s = 2, 3
    query, key, value = drawn(t, s)
    windows = list(itertools.product((None, 0, 1), repeat=2))

    def weights(offset):
        of = lambda window: attention(
            query,
            key,
            value,
            local_window_size=window,
            query_offset=offset,
            return_weights=True,
        )[1]
        return [of(window) for window in windows]

    found = compiled(jax.vmap(weights))(OFFSETS)
    for (left, right), pairs in zip(windows, found, strict=True):
        wanted = np.ones((len(OFFSETS), t, s), bool)
        for at in np.ndindex(wanted.shape):
            distance = at[2] - (OFFSETS[at[0]] + at[1])
            wanted[at] = (left is None or -left <= distance) and (
                right is None or distance <= right
            )
        np.testing.assert_array_equal((np.asarray(pairs) != 0.0).any(1), wanted, f"{left} {right}")


@pytest.mark.parametrize("path", ["default", "banded"])
def test_S2_one_number_is_both_sides_and_a_wide_window_is_none(path):
    inputs = drawn(T, S, leading=(B,))
    attend = PATHS[path]

    def run(*inputs):
        of = lambda window: attend(*inputs, local_window_size=window)
        return (of(2), of((T, S))), (of((2, 2)), of(None))

    one, other = compiled(run)(*inputs)
    assert_same_bits(one[0], other[0])
    testing.assert_close(one, other, 4 * UNIT)


def test_S3_shared_heads_are_repeated_heads():
    """Query head h uses key-value head h // (heads / groups), whose gradient is the group's sum."""
    heads, groups = 6, 2
    query, key, value = drawn(T, S, heads, groups, (B,))
    repeated = [np.repeat(x, heads // groups, 2) for x in (key, value)]
    run = lambda *inputs: attention(*inputs, is_causal=True, query_offset=1)
    one = value_and_gradient(run, query, key, value)
    other = value_and_gradient(run, query, *repeated)
    testing.assert_close(one[0], other[0], 2 * UNIT)
    add_up = lambda x: x.reshape(B, S, groups, heads // groups, -1).sum(3)
    wanted = (other[1][0], *map(add_up, other[1][1:]))
    testing.assert_close(one[1], wanted, 8 * UNIT)


def test_S3_S5_the_order_of_heads_keys_and_queries_does_not_matter():
    one = CASES["dense"]
    rng = np.random.default_rng(2)
    mask = rng.random((B, 1, T, S)) < 0.7
    # Heads stay with their group.
    orders = {"h": np.array([5, 4, 0, 1, 2, 3]), "g": np.array([2, 0, 1])}
    orders |= {"t": rng.permutation(T), "s": rng.permutation(S)}
    for axes in ("hg", "t", "s"):
        order = {axis: orders[axis] for axis in axes}
        moved = lambda tree, axes_of, order=order: tuple(
            reordered(x, axes, order) for x, axes in zip(tree, axes_of, strict=True)
        )
        inputs, outputs = ("bthk", "bsgk", "bsgv", "bhts"), ("bthv", "bth", "bhts")
        given = one.others(mask=reordered(mask, "b1ts", order))
        cotangent = cotangent_of(one, one.inputs(), given)
        plain = evaluate("default", one, one.inputs(), one.others(mask=mask))
        actual = evaluate(
            "default", one, moved(one.inputs(), inputs), given, moved(cotangent, outputs)
        )
        wanted = moved(without_infinity(plain.output), outputs)
        testing.assert_close(without_infinity(actual.output), wanted, 4 * UNIT, axes)
        testing.assert_close(actual.gradient, moved(plain.gradient, inputs), 32 * UNIT, axes)


def reordered(array, axes, order):
    for position, axis in enumerate(axes):
        if axis in order:
            array = np.take(array, order[axis], position)
    return array


@pytest.mark.parametrize("windowed", [False, True])
@pytest.mark.parametrize("t", [1, CHUNK + 1, 2 * CHUNK + 1])
def test_S4_every_length_round_a_chunk(t, windowed):
    """Whatever is left over at the end, with all keys and with a window of them."""
    options = {"local_window_size": (1, 0)} if windowed else {}
    run = lambda *inputs: attention(*inputs, chunk_size=CHUNK, **options)
    inputs = drawn(t, t, 2, 2, (1,))
    output, gradient = value_and_gradient(run, *inputs)
    expected, pullback = oracle(*inputs, **options)
    testing.assert_close(output, expected, 1e-13)
    testing.assert_close(gradient, pullback(draw_like(expected, 1)), 1e-12)


def test_S6_shifts_single_keys_and_equal_values():
    one = CASES["dense"]
    names = one.differentiable
    edit = lambda name, f: tuple(
        f(x) if n == name else x for n, x in zip(names, one.inputs(), strict=True)
    )
    shift = np.array([3.0, -40.0, 700.0, 0.0, 1.0])[:, None]
    plain = evaluate("default", one, one.inputs(), one.others())
    moved = evaluate("default", one, edit("bias", lambda x: x + shift), one.others())
    bound = (8 + 2 * np.abs(shift).max()) * UNIT
    testing.assert_close(moved.output[::2], plain.output[::2], bound)
    testing.assert_close(moved.output[1] - shift, plain.output[1], bound)
    alone = np.broadcast_to(np.eye(T, S, k=1, dtype=bool), (B, 1, T, S))
    single = evaluate("default", one, one.inputs(), one.others(mask=alone)).output
    np.testing.assert_array_equal(single[2], np.broadcast_to(alone, single[2].shape))
    values = np.repeat(one.inputs()[2], one.heads // one.groups, 2)
    np.testing.assert_array_equal(single[0], values[:, 1 : T + 1])
    equal = edit("value", lambda x: np.broadcast_to(x[:, :1], x.shape))
    mean = evaluate("default", one, equal, one.others()).output[0]
    testing.assert_close(mean, np.broadcast_to(values[:, :1], mean.shape), 4 * UNIT)


EMPTY = {
    "b": (0, 3, 5, 4, 2, 7, 11),
    "t": (2, 0, 5, 4, 2, 7, 11),
    "s": (2, 3, 0, 4, 2, 7, 11),
    "h and g": (2, 3, 5, 0, 0, 7, 11),
    "k": (2, 3, 5, 4, 2, 0, 11),
    "v": (2, 3, 5, 4, 2, 7, 0),
    "t is 1": (2, 1, 5, 4, 2, 7, 11),
    "s is 1": (2, 3, 1, 4, 2, 7, 11),
}


@pytest.mark.parametrize(
    ("path", "axis"), [("default", axis) for axis in EMPTY] + [("banded", "t"), ("grouped", "s")]
)
def test_E1_an_axis_may_be_empty(path, axis):
    b, t, s, h, g, k, v = EMPTY[axis]
    rng = np.random.default_rng(3)
    shapes = ((b, t, h, k), (b, s, g, k), (b, s, g, v), (b, h, t, s))
    inputs = tuple(rng.standard_normal(shape) for shape in shapes)
    if axis == "h and g":
        with pytest.raises(ValueError, match="query has no heads"):
            PATHS[path](*inputs)
        return
    run = lambda *inputs: PATHS[path](*inputs, is_causal=True, **BOTH)
    result = value_and_gradient(run, *inputs)
    expected, pullback = oracle(*inputs, is_causal=True, **BOTH)
    testing.assert_close(without_infinity(result[0]), without_infinity(expected), 1e-13)
    testing.assert_close(result[1], pullback(draw_like(expected, 1)), 1e-12)
    for leaf in jax.tree.leaves(result):
        assert leaf.dtype == np.float64


BOTH = {"return_residual": True, "return_weights": True}


@pytest.mark.parametrize("leading", [(), (1,), (2, 3)])
def test_leading_axes_are_free(leading):
    inputs = drawn(T, S, 4, 2, leading)
    bias = np.random.default_rng(4).standard_normal((4, 1, S))
    run = lambda *inputs: attention(*inputs, local_window_size=(2, 3), **BOTH)
    result = value_and_gradient(run, *inputs, bias)
    query, key, value = inputs
    expected, pullback = oracle(query, key, value, bias, local_window_size=(2, 3), **BOTH)
    testing.assert_close(result, (expected, pullback(draw_like(expected, 1))), 1e-12)


# Each axis whole and 1 beside whole ones, and fewer axes.
SHAPES = [(B, 1, T, 1), (B, 4, 1, S), (4, T, S), (S,), ()]


def test_G1_a_bias_of_any_shape_takes_the_sum_of_its_gradients():
    inputs = drawn(T, S, 4, 2, (B,))
    rng = np.random.default_rng(5)
    biases = [np.asarray(rng.standard_normal(shape)) for shape in SHAPES]
    cotangent = rng.standard_normal((B, T, 4, V))

    def gradients(biases):
        run = lambda bias: (attention(*inputs, bias) * cotangent).sum()
        return [jax.grad(run)(bias) for bias in biases]

    with jax.numpy_rank_promotion("allow"):
        found = compiled(gradients)(biases)
    query, key, value = inputs
    wanted = [oracle(query, key, value, bias)[1](cotangent)[3] for bias in biases]
    testing.assert_close(found, wanted, 1e-12)


def test_M3_a_mask_of_any_shape_is_broadcast():
    inputs = drawn(T, S, 4, 2, (B,))
    rng = np.random.default_rng(6)
    given = [rng.random(shape) < 0.7 for shape in SHAPES]
    run = lambda given: [attention(*inputs, mask=mask) for mask in given]
    for mask, output in zip(given, compiled(run)(given), strict=True):
        testing.assert_close(output, oracle(*inputs, mask=mask)[0], 1e-13, f"{mask.shape}")


def test_B1_B2_neither_the_batch_nor_padding_shows():
    inputs = drawn(T, S, 4, 2, (B,))
    run = lambda *inputs: attention(*inputs, is_causal=True, query_offset=2)
    cotangent = draw_like(jax.eval_shape(run, *inputs), 1)

    def both(inputs, cotangent, length):
        padded = lambda *inputs: attention(
            *inputs, is_causal=True, query_offset=2, key_value_seq_lengths=length
        )
        output, pullback = jax.vjp(run if length is None else padded, *inputs)
        return output, pullback(cotangent)

    step = compiled(both)
    together = step(inputs, cotangent, None)
    for element in range(B):
        one = lambda tree, element=element: jax.tree.map(lambda x: x[element : element + 1], tree)
        testing.assert_close(step(one(inputs), one(cotangent), None), one(together), 2 * UNIT)
    padding = np.full((B, 6, 2, 1), 7.0)
    pad = lambda x: np.concatenate([x, np.broadcast_to(padding, (B, 6, 2, x.shape[-1]))], 1)
    padded = (inputs[0], pad(inputs[1]), pad(inputs[2]))
    output, (d_query, *others) = step(padded, cotangent, np.full(B, S, np.int32))
    shorter = (d_query, *(x[:, :S] for x in others))
    testing.assert_close((output, shorter), together, 4 * UNIT)
    assert not any(np.any(x[:, S:]) for x in others)


def test_T4_the_same_bits_again():
    one = CASES["dense"]
    once = evaluate("default", one, one.inputs(), one.others())
    for _ in range(3):
        assert_same_bits(evaluate("default", one, one.inputs(), one.others()), once)


def test_T3_checkpointed_or_not():
    inputs = drawn(T, S)
    run = lambda *inputs: PATHS["chunks of 2"](*inputs, is_causal=True)
    cotangent = np.random.default_rng(8).standard_normal((T, 2, V))

    def both(inputs):
        plain, checkpointed = (jax.vjp(f, *inputs) for f in (run, jax.checkpoint(run)))
        return tuple((output, pullback(cotangent)) for output, pullback in (plain, checkpointed))

    plain, checkpointed = compiled(both)(inputs)
    testing.assert_close(checkpointed, plain, 32 * UNIT)


SUBSETS = (
    ("bias", "mask", "sinks", "query_offset", "value"),
    # The last is everything.
    (*DIFFERENTIABLE, "mask", "query_seq_lengths", "key_value_seq_lengths", "query_offset"),
)


def test_T2_any_subset_of_arguments_may_be_mapped_and_grad_commutes():
    rng = np.random.default_rng(7)
    n = 3
    shapes = {
        "query": (T, 4, K),
        "key": (S, 2, K),
        "value": (S, 2, V),
        "bias": (4, T, S),
        "scale": (),
        "sinks": (4,),
    }
    stacked = {name: rng.standard_normal((n, *shape)) for name, shape in shapes.items()}
    stacked |= {
        "mask": rng.random((n, 1, T, S)) < 0.7,
        "query_seq_lengths": np.array([T, 2, 4], np.int32),
        "key_value_seq_lengths": np.array([S, 3, 0], np.int32),
        "query_offset": np.array([0, -2, 3], np.int32),
    }
    weight = rng.standard_normal((T, 4, V))
    run = lambda given: attention(**given, is_causal=True, logits_soft_cap=2.0)

    def gradient(given):
        floating = {name: given[name] for name in shapes}
        return jax.grad(lambda inputs: (run(given | inputs) * weight).sum())(floating)

    one = compiled(lambda given: (run(given), gradient(given)))
    first = {name: x[0] for name, x in stacked.items()}
    for subset in SUBSETS:
        chosen = first | {name: stacked[name] for name in subset}
        axes = ({name: 0 if name in subset else None for name in chosen},)
        by_one = [one(first | {name: stacked[name][i] for name in subset}) for i in range(n)]
        output, d_each = jax.tree.map(lambda *x: np.stack(x), *by_one)
        mapped = compiled(jax.vmap(run, axes))(chosen)
        testing.assert_close(mapped, output, 8 * UNIT, f"{subset}")
    testing.assert_close(compiled(jax.vmap(gradient))(stacked), d_each, 64 * UNIT)
    weights = np.stack([weight] * n)
    added = jax.grad(lambda inputs: (jax.vmap(run)(stacked | inputs) * weights).sum())
    whole = compiled(added)({name: stacked[name] for name in shapes})
    testing.assert_close(whole, d_each, 64 * UNIT)
