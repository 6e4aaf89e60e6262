"""What attention must not notice: the order of keys, how heads are shared, a shift of a row."""

import jax
import numpy as np
import pytest
from compiled import (
    assert_same_bits,
    change,
    cotangent_of,
    each,
    evaluate,
    having,
    leaves_of,
    masked,
    output_axes,
    with_options,
    with_sizes,
)

from jattn import testing
from jattn.catalog import MECHANISMS
from jattn.catalog.table import RAGGED
from jattn.testing.properties import ROUNDING

T, S = RAGGED.shape
UNIT = ROUNDING["float64"]
MASKED = having("mask")


def holding(rule, rows):
    return [row for row in rows if rule not in row.exceptions]


def taken(array, axes, order):
    """The array with every axis that `order` names in that order."""
    for position, axis in enumerate(axes):
        if axis in order:
            array = np.take(array, order[axis], position)
    return array


def outputs_in(call, tree, order):
    arrays, structure = jax.tree.flatten(tree)
    reordered = [taken(x, a, order) for x, a in zip(arrays, output_axes(call), strict=True)]
    return jax.tree.unflatten(structure, reordered)


def reordered(call, mask, order):
    """The value and gradient of reordered inputs, and the reordered ones of the same inputs."""
    moved = lambda tree: change(call, tree, lambda leaf, x: taken(x, leaf.axes, order))
    expected = evaluate(call, call.inputs(), mask)
    actual = evaluate(
        call,
        moved(call.inputs()),
        taken(mask, ("t", "s"), order),
        outputs_in(call, cotangent_of(call), order),
    )
    wanted = outputs_in(call, expected.output, order), moved(expected.gradient)
    return (actual.output, actual.gradient), wanted


def check_order_of_keys(row):
    call = masked(row)
    actual, wanted = reordered(call, RAGGED, {"s": np.array([3, 0, 4, 1, 2])})
    testing.assert_close(actual[0], wanted[0], 4 * UNIT)
    testing.assert_close(actual[1], wanted[1], row.tolerance)


@each("row", holding("S5", MASKED))
def test_S5_the_order_of_keys_does_not_matter(row):
    check_order_of_keys(row)


def check_order_of_queries(row):
    """Bit for bit in the output; gradients of what queries share are sums in another order."""
    actual, wanted = reordered(masked(row), RAGGED, {"t": np.array([2, 0, 1])})
    assert_same_bits(actual[0], wanted[0])
    testing.assert_close(actual[1], wanted[1], row.tolerance)


@each("row", holding("S5 t", holding("S5", MASKED)))
def test_S5_queries_do_not_know_of_each_other(row):
    check_order_of_queries(row)


def check_shift(row):
    """A number for each query, added to all its scores, changes no weight."""
    call = masked(row)
    shift = np.array([[3.0], [-40.0], [700.0]])
    inputs = change(call, call.inputs(), lambda leaf, x: x + shift if leaf.is_of_pairs else x)
    assert any(leaf.is_of_pairs for leaf in leaves_of(call))
    mask = np.ones((T, S), bool)
    actual, wanted = evaluate(call, inputs, mask), evaluate(call, call.inputs(), mask)
    testing.assert_close(actual.output, wanted.output, (8 + 2 * np.abs(shift).max()) * UNIT)


def check_single_key(row):
    """The only key gets all the weight, bit for bit, and equal values are their own mean."""
    call = masked(row)
    alone = np.eye(T, S, k=1, dtype=bool)
    *context, weights = jax.tree.leaves(evaluate(call, call.inputs(), alone).output)
    np.testing.assert_array_equal(weights, np.broadcast_to(alone, weights.shape))
    if ("t", "v") in output_axes(call):
        paths = [leaf.path for leaf in leaves_of(call)]
        values = jax.tree.leaves(call.inputs())[paths.index("value")]
        np.testing.assert_array_equal(context[0], alone @ values)
        equal = change(
            call,
            call.inputs(),
            lambda leaf, x: np.broadcast_to(x[0], x.shape) if leaf.path == "value" else x,
        )
        mean = evaluate(call, equal, np.ones((T, S), bool)).output[0]
        testing.assert_close(mean, np.broadcast_to(values[0], mean.shape), 4 * UNIT)


@each("row", holding("S6", MASKED))
def test_S6_adding_a_number_to_a_row_of_scores_changes_nothing(row):
    check_shift(row)


@each("row", holding("S6", MASKED))
def test_S6_one_key_gets_all_the_weight(row):
    check_single_key(row)


CHECKS = {
    "S5": (check_order_of_keys, check_order_of_queries),
    "S6": (check_shift, check_single_key),
}


@pytest.mark.parametrize(
    ("row", "rule"),
    [(row, rule) for row in MECHANISMS for rule in CHECKS if rule in row.exceptions],
    ids=lambda x: getattr(x, "name", x),
)
def test_exceptions_are_real(row, rule):
    """A row that states an exception breaks the rule; else the exception is to be deleted."""

    def breaks(check):
        try:
            check(row)
        except AssertionError:
            return True
        return False

    assert any(map(breaks, CHECKS[rule])), f"{row.name} keeps {rule}: {row.exceptions[rule]}"


GROUPED = [row for row in MASKED if {"h", "g"} <= row.sizes.keys()]


@pytest.mark.parametrize("groups", [2, 3])
@each("row", GROUPED)
def test_S3_shared_heads_are_repeated_heads(row, groups):
    """Query head h uses key-value head h // (heads / groups), whose gradient is the group's sum."""
    shared = with_sizes(masked(row), g=groups)
    heads = shared.sizes["h"]
    each_own = with_sizes(masked(row), g=heads)
    inputs, cotangent = shared.inputs(), cotangent_of(shared)

    def repeat(leaf, x):
        return np.repeat(x, heads // groups, leaf.axes.index("g")) if "g" in leaf.axes else x

    def add_up(leaf, x):
        if "g" not in leaf.axes:
            return x
        position = leaf.axes.index("g")
        shape = (*x.shape[:position], groups, heads // groups, *x.shape[position + 1 :])
        return x.reshape(shape).sum(position + 1)

    one = value_and_gradient(shared, inputs, cotangent)
    other = value_and_gradient(each_own, change(shared, inputs, repeat), cotangent)
    testing.assert_close(one[0], other[0], 2 * UNIT)
    testing.assert_close(one[1], change(each_own, other[1], add_up), 8 * UNIT)


@each("row", GROUPED)
def test_S3_the_order_of_heads_does_not_matter(row):
    order = {"h": np.array([4, 3, 5, 1, 0, 2]), "g": np.array([1, 0])}
    call = masked(row)
    assert (call.sizes["h"], call.sizes["g"]) == (6, 2)
    actual, wanted = reordered(call, RAGGED, order)
    assert_same_bits(actual[0][1], wanted[0][1])
    testing.assert_close(actual, wanted, 8 * UNIT)


def value_and_gradient(call, inputs, cotangent):
    def run(inputs, cotangent):
        output, pullback = jax.vjp(with_options(call, mask=RAGGED).function, *inputs)
        return output, pullback(cotangent)

    return jax.tree.map(np.asarray, jax.jit(run)(inputs, cotangent))
