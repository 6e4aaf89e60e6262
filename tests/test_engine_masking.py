"""What batched attention may not read changes nothing, and queries without keys give zero."""

import jax
import numpy as np
import pytest
from attending import (
    CASES,
    FEW,
    OTHERS,
    PATHS,
    B,
    S,
    T,
    allowed,
    at_queries,
    cotangent_of,
    evaluate,
    hiding,
)
from compiled import assert_same_bits

UNUSABLE = (np.nan, np.inf, -np.inf, np.finfo(np.float64).max)
RNG = np.random.default_rng(0)
SOME = RNG.random((B, 1, T, S)) < 0.6
ROWS = np.zeros((B, 1, T, S), bool)
ROWS[0, 0, 1], ROWS[1] = True, True
LEFT = np.arange(S) < 3
lengths = lambda *numbers: np.array(numbers, np.int32)

# Ways to leave a query without a key: the case, what is given, and the pairs with a bias of -inf.
EMPTYING = {
    "rows of the mask": ("dense", {"mask": ~ROWS}, False),
    "rows of the bias": ("dense", {}, ROWS[:1]),
    "mask and bias": ("dense", {"mask": LEFT | ~ROWS}, LEFT),
    "no keys": ("dense", {"key_value_seq_lengths": lengths(0, 3)}, False),
    "queries past the end": ("dense", {"query_seq_lengths": lengths(2, 0)}, False),
    "causal before the first key": ("causal", {"query_offset": lengths(-2, -T)}, False),
    "causal without keys": ("causal", {"key_value_seq_lengths": lengths(3, 0)}, False),
    "window past the last key": ("window", {"query_offset": lengths(S - 1, 3 * S)}, False),
    "window before the first key": ("window", {"query_offset": lengths(-4, 0)}, False),
    "everything": ("everything", {"mask": ~ROWS, "query_offset": lengths(-1, 0)}, False),
}
# What leaves keys unread by all: those of the mask are read by other queries or heads.
UNREAD = {
    "mask and bias": (
        "dense",
        {"mask": SOME & (np.arange(S) != 3)},
        LEFT & (np.arange(T) < 2)[:, None],
    ),
    "lengths": (
        "dense",
        {"key_value_seq_lengths": lengths(0, 4), "query_seq_lengths": lengths(4, 3)},
        False,
    ),
    "causal": ("causal", {"query_offset": lengths(-2, 1)}, False),
    "window": ("window", {"mask": SOME, "query_offset": lengths(-3, 5)}, False),
    "everything": ("everything", {"mask": SOME, "query_offset": lengths(-1, 2)}, LEFT & ROWS[:1]),
}
# Only cases and paths that the test of values compiles too.
FULL = [
    (path, way)
    for path in PATHS
    for way, (name, *_) in UNREAD.items()
    if name in OTHERS.get(path, CASES)
]
EMPTY = [
    (path, way)
    for path in FEW
    for way, (name, *_) in EMPTYING.items()
    if name in OTHERS.get(path, CASES)
]


def call_of(ways, way):
    name, chosen, unbiased = ways[way]
    one = CASES[name]
    return one, hiding(one, one.inputs(), unbiased), one.others(**chosen)


def edited(one, inputs, **edits):
    return tuple(
        edits.get(name, lambda x: x)(x) for name, x in zip(one.differentiable, inputs, strict=True)
    )


def leaf_of(one, tree, name):
    return tree[one.differentiable.index(name)]


@pytest.mark.parametrize(("path", "way"), EMPTY)
def test_M1_queries_without_a_key_give_zero_and_take_no_gradient(path, way):
    one, inputs, given = call_of(EMPTYING, way)
    empty = ~allowed(one, inputs, given).any((1, 3))
    assert empty.any()
    assert not empty.all()
    result = evaluate(path, one, inputs, given)
    output, lse, *weights = result.output
    assert not output[empty].any()
    assert not any(np.moveaxis(x, 1, 2)[empty].any() for x in weights)
    has_sinks = "sinks" in one.differentiable
    without = np.broadcast_to(leaf_of(one, inputs, "sinks") if has_sinks else -np.inf, lse.shape)
    np.testing.assert_array_equal(lse[empty], without[empty])
    assert np.isfinite(lse[~empty]).all()
    for leaf in jax.tree.leaves(result._replace(output=(output, *weights))):
        assert np.isfinite(leaf).all()
    cotangent = at_queries(one, cotangent_of(one, inputs, given), empty)
    of_empty = evaluate(path, one, inputs, given, cotangent)
    for name, *derivatives in zip(
        one.differentiable, of_empty.gradient, of_empty.gradient_tangent, strict=True
    ):
        if name == "sinks":
            np.testing.assert_allclose(derivatives[0], cotangent[1].sum((0, 1)), rtol=1e-14)
        else:
            assert not np.any(derivatives[0]), name
        assert not np.any(derivatives[1]), name
    tangents = jax.tree.leaves(at_queries(one, result.tangent, empty))
    assert not any(x.any() for x in tangents[:: 1 + has_sinks])


@pytest.mark.parametrize(("path", "way"), FULL)
def test_C1_what_nobody_may_read_changes_no_bit(path, way):
    """Poison in keys, values and queries that are in no allowed pair, and in hidden biases."""
    one, inputs, given = call_of(UNREAD, way)
    pairs = allowed(one, inputs, given)
    by_group = pairs.reshape(B, one.groups, -1, T, S)
    unread = {
        "query": ~np.moveaxis(pairs.any(3), 1, 2)[..., None],
        "key": ~np.moveaxis(by_group.any((2, 3)), 1, 2)[..., None],
        # A bias of -inf hides its pair; the others are what something else hides.
        "bias": ~allowed(one, one.inputs(), given).any(0, keepdims=True),
    }
    unread["value"] = unread["key"]
    assert unread["key"].any()
    clean = evaluate(path, one, inputs, given)
    for poison in UNUSABLE:
        edits = {
            name: lambda x, where=where, poison=poison: np.where(where, poison, x)
            for name, where in unread.items()
        }
        poisoned = evaluate(path, one, edited(one, inputs, **edits), given)
        assert_same_bits(poisoned, clean, f"{poison}")
    for derivatives in (clean.gradient, clean.gradient_tangent):
        for name, x in zip(one.differentiable, derivatives, strict=True):
            if name in unread:
                assert not x[np.broadcast_to(unread[name], x.shape)].any(), name


@pytest.mark.parametrize(("path", "way"), FULL)
def test_M2_C2_what_a_query_may_not_read_moves_no_bit_of_it(path, way):
    """A key and value of 1e30 move the queries that read them, and no other."""
    one, inputs, given = call_of(UNREAD, way)
    pairs = allowed(one, inputs, given)
    reads = pairs.any(1)
    column = int(reads.any(0).sum(0).argmin()) if reads.any(0).all(0).any() else 2
    others = ~reads[:, :, column]
    assert others.any()
    cotangent = at_queries(one, cotangent_of(one, inputs, given), others)
    large = lambda x: np.where((np.arange(S) == column)[:, None, None], 1e30, x)
    moved = edited(one, inputs, key=large, value=large)
    clean, other = (evaluate(path, one, x, given, cotangent) for x in (inputs, moved))
    assert_same_bits(at_queries(one, other.output, others), at_queries(one, clean.output, others))
    assert_same_bits(other.gradient, clean.gradient)
    for query in range(T):
        this = np.zeros((B, T), bool)
        this[:, query] = True
        cotangent = at_queries(one, cotangent_of(one, inputs, given), this)
        gradient = evaluate(path, one, inputs, given, cotangent).gradient
        by_group = pairs[:, :, query].reshape(B, one.groups, -1, S).any(2)
        for name in ("key", "value"):
            x = np.moveaxis(leaf_of(one, gradient, name), 2, 1)
            assert not x[~by_group].any(), name
        np.testing.assert_array_equal(x.any(-1), by_group)


@pytest.mark.parametrize("path", FEW[:2])
def test_M3_masks_and_biases_of_minus_infinity_combine_as_booleans(path):
    one = CASES["dense"]
    first, second = np.random.default_rng(1).random((2, B, 1, T, S)) < 0.7
    second = second[:1]
    both = evaluate(path, one, one.inputs(), one.others(mask=first & second))
    hidden = hiding(one, one.inputs(), ~second)
    assert_same_bits(evaluate(path, one, hidden, one.others(mask=first)), both)
    everything = evaluate(path, one, hiding(one, one.inputs(), ~second), one.others(mask=second))
    alone = evaluate(path, one, one.inputs(), one.others(mask=np.broadcast_to(second, first.shape)))
    assert_same_bits(everything, alone)
    # A length is a mask as well.
    ends = lengths(3, 5)
    by_mask = one.others(mask=first & (np.arange(S) < ends[:, None, None, None]))
    by_length = one.others(mask=first, key_value_seq_lengths=ends)
    assert_same_bits(
        evaluate(path, one, one.inputs(), by_length), evaluate(path, one, one.inputs(), by_mask)
    )
