# pyright: reportArgumentType=false, reportOperatorIssue=false
"""What may not be read changes nothing: not a value, not a gradient, not a bit."""

import jax
import numpy as np
from compiled import (
    along_rows,
    assert_same_bits,
    change,
    cotangent_at,
    each,
    evaluate,
    having,
    leaves_of,
    masked,
    masked_calls,
    output_axes,
    takes,
    with_options,
)

import jattn
from jattn import masks
from jattn.catalog.table import RAGGED

T, S = RAGGED.shape
UNUSABLE = (np.nan, np.inf, -np.inf, np.finfo(np.float64).max)
LARGE = (1e4, 1e30, *UNUSABLE)
EVERYTHING = np.ones((T, S), bool)

# Ways to leave a query without a key, each with the bias that goes with it (None: any).
EMPTYING = {
    "a row": (EVERYTHING & np.array([[True], [False], [True]]), None),
    "all rows": (np.zeros((T, S), bool), None),
    "bias row": (EVERYTHING, np.array([[0.0], [-np.inf], [0.0]])),
    "mask and bias": (RAGGED, np.where([True, False, True, True, True], -np.inf, 0.0)[None]),
    "no keys": (masks.lengths(0), None),
    "queries past the end": (masks.lengths(S, query_lengths=1), None),
    "causal before the first key": (masks.causal(offset=-2), None),
    "window past the last key": (masks.window(0, 0, offset=S - 1), None),
    "segment of its own": (masks.segments(np.array([0, 7, 0]), np.zeros(S, int)), None),
}


def dense(mask):
    return np.asarray(mask.dense(T, S)) if isinstance(mask, masks.Mask) else mask


def edit_bias(call, inputs, edit):
    return change(call, inputs, lambda leaf, x: edit(x) if leaf.path == "bias" else x)


def at_queries(call, tree, queries):
    """The entries that belong to `queries`, of each leaf of an output."""
    leaves = zip(jax.tree.leaves(tree), output_axes(call), strict=True)
    return [np.take(leaf, np.flatnonzero(queries), axes.index("t")) for leaf, axes in leaves]


def readable_pairs(call, mask):
    """True where a query reads a key, as the oracle's weights say under softmax."""
    if not takes(call.mechanism, "normalizer"):
        return mask
    soft = with_options(call, mask=mask, normalizer=jattn.softmax)
    weights = soft.oracle(*soft.inputs())[0][1]
    return weights.reshape(-1, T, S).any(0)


def unread(leaf, array, reads, queries):
    """True for the entries of an input that nothing may read."""
    nobody = {"t": ~queries, "s": ~reads.any(0)}
    if leaf.is_of_pairs:
        return np.broadcast_to(~reads, array.shape)
    if leaf.leading in nobody:
        return np.broadcast_to(along_rows(nobody[leaf.leading], array), array.shape)
    return np.zeros(array.shape, bool)


def is_of_keys(leaf):
    """Whether a row belongs to a key; a state may have a number for each, which other keys see."""
    return leaf.leading == "s" and leaf.path != "initial"


def has_pairs(case):
    return any(leaf.is_of_pairs for leaf in leaves_of(case))


@each("case", masked_calls())
def test_M1_queries_without_a_key_give_zero_and_take_no_gradient(case):
    for way, (mask, bias) in EMPTYING.items():
        inputs, allowed = case.inputs(), dense(mask)
        if bias is not None:
            if not takes(case.mechanism, "bias"):
                continue
            inputs = edit_bias(case, inputs, lambda x, bias=bias: x + bias)
            allowed = allowed & np.isfinite(bias)
        empty = ~allowed.any(1)
        assert empty.any(), way
        everything = evaluate(case, inputs, dense(mask))
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(everything)), way
        for rows in (everything.output, everything.tangent):
            assert not any(leaf.any() for leaf in at_queries(case, rows, empty)), way
        of_empty = evaluate(case, inputs, dense(mask), cotangent_at(case, empty))
        for derivatives in (of_empty.gradient, of_empty.gradient_tangent):
            assert not any(leaf.any() for leaf in jax.tree.leaves(derivatives)), way


@each("case", [case for case in masked_calls() if has_pairs(case)])
def test_M2_masked_scores_of_any_size_change_no_bit(case):
    clean = evaluate(case, case.inputs(), RAGGED)
    for size in LARGE:
        poisoned = change(
            case,
            case.inputs(),
            lambda leaf, x, size=size: np.where(RAGGED, x, size) if leaf.is_of_pairs else x,
        )
        assert_same_bits(evaluate(case, poisoned, RAGGED), clean, f"{size}")


@each("case", masked_calls())
def test_M2_C1_keys_that_other_queries_read_change_no_bit_of_this_one(case):
    """Key 2 is masked for query 0 and read by query 2: a large one moves that query alone."""
    this = np.arange(T) == 0
    assert not RAGGED[0, 2]
    assert RAGGED[2, 2]

    def of_this_query(inputs):
        result = evaluate(case, inputs, RAGGED, cotangent_at(case, this))
        return at_queries(case, result.output, this), result.gradient

    large = change(
        case,
        case.inputs(),
        lambda leaf, x: (
            np.where(along_rows(np.arange(S) == 2, x), 1e30, x) if is_of_keys(leaf) else x
        ),
    )
    assert_same_bits(of_this_query(large), of_this_query(case.inputs()))


@each("case", masked_calls())
def test_M3_masks_and_biases_of_minus_infinity_combine_as_booleans(case):
    rng = np.random.default_rng(0)
    one, other = rng.random((2, T, S)) < 0.7
    both = evaluate(case, case.inputs(), one & other)
    combined = masks.dense(one) & masks.dense(other) & masks.causal(S)
    assert_same_bits(evaluate(case, case.inputs(), dense(combined)), both)
    hidden = edit_bias(case, case.inputs(), lambda x: np.where(other, x, -np.inf))
    if takes(case.mechanism, "bias"):
        assert_same_bits(evaluate(case, hidden, one), both)
        everything = edit_bias(case, hidden, lambda x: np.where(one, x, -np.inf))
        assert_same_bits(evaluate(case, everything, EVERYTHING), both)


@each("row", having("mask"))
def test_M3_a_mask_of_positions_is_the_same_as_its_array(row):
    case = masked(row)
    mask = (masks.causal() | ~masks.blocks(2)) & masks.lengths(S - 1) & RAGGED
    as_rule, as_array = (with_options(case, mask=m) for m in (mask, dense(mask)))
    run = lambda call: jax.jit(call.function)(*case.inputs())
    assert_same_bits(run(as_rule), run(as_array))


@each("case", masked_calls())
def test_C1_what_nobody_may_read_changes_no_bit(case):
    reads = readable_pairs(case, RAGGED)
    queries = RAGGED.any(1)
    assert not reads.any(0).all()
    clean = evaluate(case, case.inputs(), RAGGED)
    for poison in UNUSABLE:
        poisoned = change(
            case,
            case.inputs(),
            lambda leaf, x, poison=poison: np.where(unread(leaf, x, reads, queries), poison, x),
        )
        assert_same_bits(evaluate(case, poisoned, RAGGED), clean, f"{poison}")
        if takes(case.mechanism, "bias"):
            hidden = edit_bias(case, poisoned, lambda x: np.where(RAGGED, x, -np.inf))
            assert_same_bits(evaluate(case, hidden, EVERYTHING), clean, f"{poison}")
    for derivatives in (clean.gradient, clean.gradient_tangent):
        change(
            case,
            derivatives,
            lambda leaf, x: np.testing.assert_array_equal(
                x[unread(leaf, x, reads, queries)], 0.0, leaf.path
            ),
        )


@each("case", [call for call in masked_calls() if "C2" not in call.mechanism.exceptions])
def test_C2_the_derivative_of_a_query_is_nonzero_exactly_where_it_reads(case):
    """With memory between queries, it is zero except where it or one before it reads."""
    reads = readable_pairs(case, RAGGED)
    exceptions = case.mechanism.exceptions
    remembers = "C2" in exceptions
    for query in range(T):
        this = np.arange(T) == query
        gradient = evaluate(case, case.inputs(), RAGGED, cotangent_at(case, this)).gradient
        seen = np.arange(T) <= query if remembers else this

        def check(leaf, x, query=query, seen=seen):
            if leaf.is_of_pairs:
                allowed = seen[:, None] & reads
                assert not x[..., ~allowed].any(), leaf.path
            elif leaf.leading == "t":
                assert not x[~seen].any(), leaf.path
            elif is_of_keys(leaf):
                assert not x[~reads[seen].any(0)].any(), leaf.path
            soft = "normalizer" not in case.case.options and "C2 value" not in exceptions
            if leaf.path == "value" and soft:
                np.testing.assert_array_equal(x.any(1), reads[query])

        change(case, gradient, check)
