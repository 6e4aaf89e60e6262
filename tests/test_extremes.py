"""Very large, very small and empty: nothing overflows that need not, and no size is too small."""

import jax
import numpy as np
import pytest
from compiled import (
    along_rows,
    change,
    cotangent_of,
    each,
    evaluate,
    having,
    leaves_of,
    masked,
    takes,
    with_options,
    with_sizes,
)

from jattn import testing
from jattn.catalog import MECHANISMS
from jattn.catalog.table import RAGGED
from jattn.testing.trees import draw_like, like

SCORING = having("query", "key", "mask")


def assert_finite(tree):
    for path, leaf in jax.tree.leaves_with_path(tree):
        assert np.isfinite(leaf).all(), jax.tree_util.keystr(path)


def scaled(call, factor, *arguments):
    return change(call, call.inputs(), lambda leaf, x: x * factor if leaf.path in arguments else x)


@each("row", SCORING)
def test_X1_products_past_the_largest_float16_are_fine(row):
    """300 · 300 · 7 is past 65504, and 300 itself an ordinary number."""
    call = with_options(masked(row), mask=RAGGED)
    ramp = lambda x: 300.0 * along_rows(np.arange(1, len(x) + 1), x) / len(x) + np.zeros_like(x)
    large = change(
        call,
        call.inputs(),
        lambda leaf, x: (
            300.0 + 0.0 * x if leaf.path == "query" else ramp(x) if leaf.path == "key" else x
        ),
    )
    findings = testing.precision(call.function, call.oracle, large, dtype="float16")
    for finding in findings:
        # Gradients through tanh of numbers in the hundreds are as exact as float32 makes these.
        enough = 0.1 if "gradient" in finding.what else finding.bound
        assert finding.error <= enough, str(testing.Report(call.name, findings))


@pytest.mark.parametrize("factor", [1e-160, 1e150])
@each("row", SCORING)
def test_X1_products_near_the_ends_of_float64_are_fine(row, factor):
    call = masked(row)
    inputs, cotangent = scaled(call, factor, "query", "key"), cotangent_of(call)
    result = evaluate(call, inputs, RAGGED, cotangent)
    expected, pullback = with_options(call, mask=RAGGED).oracle(*inputs)
    assert_finite((result.output, result.gradient))
    testing.assert_close(result.output, expected, row.tolerance)
    testing.assert_close(result.gradient, pullback(like(expected, cotangent)), row.tolerance)


@each("row", having("mask"))
def test_X1_scores_as_far_apart_as_finite_numbers_are(row):
    """A difference of two of them is infinite; no weight and no gradient is NaN."""
    call = masked(row)
    far = np.finfo(np.float64).max * np.array([-0.9, 0.9, 0.3, -0.3, 0.0])
    inputs = change(call, call.inputs(), lambda leaf, x: x + far if leaf.is_of_pairs else x)
    for mask in (RAGGED, np.ones_like(RAGGED)):
        result = evaluate(call, inputs, mask)
        assert_finite((result.output, result.gradient))


def empty_cases():
    """Each call with each axis of its arrays empty in turn."""
    for row in MECHANISMS:
        call = row.calls()[0]
        axes = {part for leaf in leaves_of(call) for axis in leaf.axes for part in axis.split("+")}
        # Axes that the row gives one size are one axis to it.
        one_of_each = {call.sizes[axis]: axis for axis in sorted(axes) if not axis.isdigit()}
        for axis in sorted(one_of_each.values()):
            yield pytest.param(call, axis, id=f"{row.name}-{axis}")


@pytest.mark.parametrize(("empty", "axis"), list(empty_cases()))
def test_E1_an_empty_axis_is_an_axis(empty, axis):
    """Forward, gradient, jit and vmap at once, with the oracle's values, none of them NaN."""
    tied = [other for other, size in empty.sizes.items() if size == empty.sizes[axis]]
    call = with_sizes(empty, **dict.fromkeys(tied, 0))
    if takes(call.mechanism, "mask"):
        shape = call.sizes["t"], call.sizes["s"]
        call = with_options(call, mask=np.ones(shape, bool))
    if f"E1 {axis}" in call.mechanism.exceptions:
        with pytest.raises(ValueError, match=call.mechanism.name):
            call.function(*call.inputs())
        return
    inputs = call.inputs()
    expected, pullback = call.oracle(*inputs)
    cotangent = draw_like(expected, 1)
    output = jax.eval_shape(call.function, *inputs)

    def run(inputs, cotangent):
        output, pullback = jax.vjp(call.function, *inputs)
        return output, pullback(cotangent)

    pair = lambda tree: jax.tree.map(lambda x: np.stack([x, x]), tree)
    results = jax.jit(jax.vmap(run))(pair(inputs), pair(like(output, cotangent)))
    wanted = pair((expected, pullback(cotangent)))
    assert_finite(results)
    testing.assert_close(results, wanted, call.mechanism.tolerance)
    assert all(leaf.dtype == np.float64 for leaf in jax.tree.leaves(results))


@each("row", MECHANISMS)
def test_E1_a_batch_of_none(row):
    call = row.calls()[0]
    none = jax.tree.map(lambda x: np.zeros((0, *x.shape)), call.inputs())

    def total(inputs):
        outputs = jax.vmap(call.function)(*inputs)
        return sum(leaf.sum() for leaf in jax.tree.leaves(outputs)), outputs

    (_, outputs), gradient = jax.jit(jax.value_and_grad(total, has_aux=True))(none)
    one = jax.eval_shape(call.function, *call.inputs())
    assert [x.shape for x in jax.tree.leaves(outputs)] == [
        (0, *x.shape) for x in jax.tree.leaves(one)
    ]
    assert [x.shape for x in jax.tree.leaves(gradient)] == [x.shape for x in jax.tree.leaves(none)]
