"""Batched attention against its oracle, and what it may not read: on every path.

Each case is compiled once for each path, and all its tests follow one another.
"""

import attending
import jax
import jax.test_util
import numpy as np
import pytest
from attending import (
    CASES,
    OTHERS,
    PATHS,
    B,
    S,
    T,
    allowed,
    at_queries,
    check,
    cotangent_of,
    evaluate,
    hiding,
)
from compiled import assert_same_bits

MASKED = [name for name in CASES if name not in ("plain", "known positions")]
EVERY = [(path, name) for path in PATHS for name in OTHERS.get(path, MASKED)]
each_case = pytest.mark.parametrize(("path", "name"), EVERY, scope="module")

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
    "rule and bias": ("rule", {}, ROWS[:1]),
    "known positions": ("known positions", {"mask": ~ROWS}, False),
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
    "rule and bias": ("rule", {}, (np.arange(S) == 2) | (LEFT & ROWS[:1])),
    "known positions": ("known positions", {"mask": SOME}, LEFT & ROWS[:1]),
}


def hidden(rng):
    """What may be hidden of a call: pairs by the mask, by the bias, lengths, and positions."""
    lengths_to = lambda size: np.array([rng.integers(size + 1), size - rng.integers(2)], np.int32)
    return {
        "mask": rng.random((B, 1, T, S)) < rng.choice([0.5, 0.8, 1.0]),
        "unbiased": rng.random((1, 1, T, S)) < 0.2,
        "query_seq_lengths": lengths_to(T),
        "key_value_seq_lengths": lengths_to(S),
        "query_offset": rng.integers(-2, 5, B, np.int32),
    }


@each_case
def test_G1_G2_G3_values_and_derivatives_match_the_oracle(path, name):
    one = CASES[name]
    for seed in range(3):
        given = hidden(np.random.default_rng(seed))
        inputs = hiding(one, one.inputs(seed), given["unbiased"])
        assert allowed(one, inputs, one.others(**given)).sum() > one.heads * T
        check(path, one, inputs, one.others(**given), 1e-12)


def test_G1_G2_G3_so_they_do_without_a_mask():
    one = CASES["plain"]
    check("default", one, one.inputs(), {}, 1e-12)


def test_G3_check_grads_of_order_two_passes_in_both_modes():
    """JAX's own check of bias, mask, soft cap and sinks together: an extra, not the proof."""
    one = CASES["known positions"]
    run = jax.jit(lambda *inputs: one.call(PATHS["default"], inputs, one.others()))
    jax.test_util.check_grads(run, one.inputs(), order=2, modes=("fwd", "rev"))


def calls(ways, name):
    """Each way for the case of this name: what it is called, the case, its inputs, the rest."""
    one = CASES[name]
    for way, (case, chosen, unbiased) in ways.items():
        if case == name:
            yield way, one, hiding(one, one.inputs(), unbiased), one.others(**chosen)


def edited(one, inputs, **edits):
    return tuple(
        edits.get(name, lambda x: x)(x) for name, x in zip(one.differentiable, inputs, strict=True)
    )


def leaf_of(one, tree, name):
    return tree[one.differentiable.index(name)]


@each_case
def test_M1_queries_without_a_key_give_zero_and_take_no_gradient(path, name):
    for way, one, inputs, given in calls(EMPTYING, name):
        empty = np.asarray(~allowed(one, inputs, given).any((1, 3)))
        assert empty.any(), way
        assert not empty.all(), way
        result = evaluate(path, one, inputs, given)
        output, lse, *weights = result.output
        assert not output[empty].any(), way
        assert not any(np.moveaxis(x, 1, 2)[empty].any() for x in weights), way
        has_sinks = "sinks" in one.differentiable
        without = leaf_of(one, inputs, "sinks") if has_sinks else -np.inf
        np.testing.assert_array_equal(lse[empty], np.broadcast_to(without, lse.shape)[empty], way)
        assert np.isfinite(lse[~empty]).all(), way
        for leaf in jax.tree.leaves(result._replace(output=(output, *weights))):
            assert np.isfinite(leaf).all(), way
        cotangent = at_queries(one, cotangent_of(one, inputs, given), empty)
        of_empty = evaluate(path, one, inputs, given, cotangent)
        for what, *derivatives in zip(
            one.differentiable, of_empty.gradient, of_empty.gradient_tangent, strict=True
        ):
            if what == "sinks":
                np.testing.assert_allclose(derivatives[0], cotangent[1].sum((0, 1)), rtol=1e-14)
            else:
                assert not np.any(derivatives[0]), f"{way} {what}"
            assert not np.any(derivatives[1]), f"{way} {what}"
        tangents = jax.tree.leaves(at_queries(one, result.tangent, empty))
        assert not any(x.any() for x in tangents[:: 1 + has_sinks]), way


@each_case
def test_C1_what_nobody_may_read_changes_no_bit(path, name):
    """Poison in keys, values and queries that are in no allowed pair, and in hidden biases."""
    for way, one, inputs, given in calls(UNREAD, name):
        pairs = allowed(one, inputs, given)
        by_group = pairs.reshape(B, one.groups, -1, T, S)
        unread = {
            "query": ~np.moveaxis(np.asarray(pairs.any(3)), 1, 2)[..., None],
            "key": ~np.moveaxis(np.asarray(by_group.any((2, 3))), 1, 2)[..., None],
            # A bias of -inf hides its pair; the others are what something else hides.
            "bias": ~allowed(one, one.inputs(), given).any(0, keepdims=True),
        }
        unread["value"] = unread["key"]
        assert unread["key"].any(), way
        clean = evaluate(path, one, inputs, given)
        for poison in UNUSABLE:
            edits = {
                what: lambda x, where=where, poison=poison: np.where(where, poison, x)
                for what, where in unread.items()
            }
            poisoned = evaluate(path, one, edited(one, inputs, **edits), given)
            assert_same_bits(poisoned, clean, f"{way} {poison}")
        for derivatives in (clean.gradient, clean.gradient_tangent):
            for what, x in zip(one.differentiable, derivatives, strict=True):
                if what in unread:
                    assert not x[np.broadcast_to(unread[what], x.shape)].any(), f"{way} {what}"


@each_case
def test_M2_C2_what_a_query_may_not_read_moves_no_bit_of_it(path, name):
    """A key and value of 1e30 move the queries that read them, and no other."""
    for way, one, inputs, given in calls(UNREAD, name):
        pairs = allowed(one, inputs, given)
        reads = np.asarray(pairs.any(1))
        column = int(reads.any(0).sum(0).argmin()) if reads.any(0).all(0).any() else 2
        others = np.asarray(~reads[:, :, column])
        assert others.any(), way
        cotangent = at_queries(one, cotangent_of(one, inputs, given), others)
        large = lambda x, column=column: np.where((np.arange(S) == column)[:, None, None], 1e30, x)
        moved = edited(one, inputs, key=large, value=large)
        clean, other = (evaluate(path, one, x, given, cotangent) for x in (inputs, moved))
        seen, expected = (at_queries(one, x.output, others) for x in (other, clean))
        assert_same_bits(seen, expected, way)
        assert_same_bits(other.gradient, clean.gradient, way)
        for query in range(T):
            this = np.broadcast_to(np.arange(T) == query, (B, T))
            cotangent = at_queries(one, cotangent_of(one, inputs, given), this)
            gradient = evaluate(path, one, inputs, given, cotangent).gradient
            by_group = pairs[:, :, query].reshape(B, one.groups, -1, S).any(2)
            for what in ("key", "value"):
                x = np.moveaxis(leaf_of(one, gradient, what), 2, 1)
                assert not x[~by_group].any(), f"{way} {what}"
            np.testing.assert_array_equal(x.any(-1), by_group, way)


@pytest.mark.parametrize(
    ("path", "name"), [("default", "causal"), ("banded", "window"), ("grouped", "rule")]
)
def test_C1_M1_M2_bits_hold_as_users_compile(monkeypatch, path, name):
    """The rules above once more, with the optimizations that a user gets."""
    monkeypatch.setattr(attending, "LEVEL", {})
    for rule in (
        test_M1_queries_without_a_key_give_zero_and_take_no_gradient,
        test_C1_what_nobody_may_read_changes_no_bit,
        test_M2_C2_what_a_query_may_not_read_moves_no_bit_of_it,
    ):
        rule(path, name)


def test_M3_masks_and_biases_of_minus_infinity_combine_as_booleans():
    path, one = "default", CASES["dense"]
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
