"""Very large, very small and empty: nothing overflows that need not, and no size is too small."""

import functools
from typing import Any

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
from conftest import THOROUGHLY

import jattn
from jattn import testing
from jattn.catalog import MECHANISMS
from jattn.catalog.row import DRAWN
from jattn.catalog.table import RAGGED
from jattn.oracle.engine.dot_product import dot_product_attention as oracle_of_engine
from jattn.testing.properties import ROUNDING
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
        if "gradient" in finding.what and "X1 saturated" in row.exceptions:
            continue
        # Gradients through tanh of numbers in the hundreds are as exact as float32 makes these.
        enough = 0.1 if "gradient" in finding.what else finding.bound
        assert finding.error <= enough, str(testing.Report(call.name, findings))


@pytest.mark.parametrize("factor", [1e-160, 1e150])
@each("row", [row for row in SCORING if "X1 ends" not in row.exceptions])
def test_X1_products_near_the_ends_of_float64_are_fine(row, factor):
    call = masked(row)
    inputs, cotangent = scaled(call, factor, "query", "key"), cotangent_of(call)
    result = evaluate(call, inputs, RAGGED, cotangent)
    expected, pullback = with_options(call, mask=RAGGED).oracle(*inputs)
    assert_finite((result.output, result.gradient))
    testing.assert_close(result.output, expected, row.tolerance)
    testing.assert_close(result.gradient, pullback(like(expected, cotangent)), row.tolerance)


@each("row", [row for row in having("mask") if "X1 far" not in row.exceptions])
def test_X1_scores_as_far_apart_as_finite_numbers_are(row):
    """A difference of two of them is infinite; no weight and no gradient is NaN."""
    call = masked(row)
    far = np.finfo(np.float64).max * np.array([-0.9, 0.9, 0.3, -0.3, 0.0])
    inputs = change(call, call.inputs(), lambda leaf, x: x + far if leaf.is_of_pairs else x)
    for mask in (RAGGED, np.ones_like(RAGGED)):
        result = evaluate(call, inputs, mask)
        assert_finite((result.output, result.gradient))


# In jit a scale is contracted with the subtraction of the maximum, into one rounding, if it can be.
as_users_get_it = functools.partial(jax.jit, compiler_options=THOROUGHLY)
HUGE = [("float32", 1e10), ("float32", 1e38), ("float64", 1e100), ("float64", 1e300)]


def huge_scores(dtype, size):
    """Scores that are a product with 0.3; two of the last row, whose products are equal, tie."""
    scores = np.random.default_rng(5).uniform(-1, 1, RAGGED.shape) * size
    scores[2, [0, 2]] = size
    return scores.astype(dtype)


@functools.cache
def scaled_weights(name):
    """Options of a normalizer, and its weights of scaled scores with their derivatives."""
    row = next(row for row in MECHANISMS if row.name == name)
    given = row.hardest().case.options.items()
    options = {name: option for name, option in given if name != "mask" and option is not DRAWN}
    function = functools.partial(row.function, **options)

    @as_users_get_it
    def run(scores, mask, bias, factor, cotangent):
        def scaled(scores, bias):
            return function(scores * factor + bias, mask), function(scores * factor)

        output, pullback = jax.vjp(scaled, scores, bias)
        total = lambda scores: sum((x * cotangent).sum() for x in scaled(scores, bias))
        _, second = jax.jvp(jax.grad(total), (scores,), (cotangent,))
        return output, pullback((cotangent, cotangent))[1], second

    return options, run


@pytest.mark.parametrize(("dtype", "size"), HUGE)
@each("row", [row for row in having("scores") if "X1" not in row.exceptions])
def test_X1_finite_scores_give_finite_weights_under_jit(row, dtype, size):
    factor, scores = np.dtype(dtype).type(0.3), huge_scores(dtype, size)
    cotangent = np.random.default_rng(6).standard_normal(scores.shape).astype(dtype)
    options, run = scaled_weights(row.name)
    hidden = np.zeros_like(scores)
    hidden[0], hidden[2, 2] = -np.inf, -np.inf
    (masked_weights, weights), gradient, second = run(scores, RAGGED, hidden, factor, cotangent)
    assert_finite((masked_weights, weights, gradient, second))
    exact = (scores * factor).astype(np.longdouble)
    tolerance = 8 * ROUNDING[dtype]
    expected, pullback = row.oracle(exact, RAGGED & np.isfinite(hidden), **options)
    testing.assert_close(masked_weights.astype(float), expected.astype(float), tolerance)
    gradient_of_bias = pullback(cotangent.astype(np.longdouble))[0]
    testing.assert_close(gradient.astype(float), gradient_of_bias.astype(float), tolerance)
    expected, _ = row.oracle(exact, **options)
    testing.assert_close(weights.astype(float), expected.astype(float), tolerance)
    if "X1 ties" not in row.exceptions:
        assert weights[2, 0] == weights[2, 2] > 0.0


@pytest.mark.parametrize(("dtype", "size"), [HUGE[0], HUGE[2]])
@each("row", SCORING)
def test_X1_finite_products_give_finite_weights_under_jit(row, dtype, size):
    """With one feature a product of matrices is one of numbers, which XLA may contract too."""
    call = with_options(masked(row), mask=RAGGED)
    call = with_sizes(call, **dict.fromkeys({"q", "k", "e", "p"} & call.sizes.keys(), 1))
    paths = {leaf.path for leaf in leaves_of(call)}
    large = "params.score_weight" if "params.score_weight" in paths else "query"
    edit = lambda leaf, x: (x * (size if leaf.path == large else 1.0)).astype(dtype)
    inputs, cotangent = change(call, call.inputs(), edit), cotangent_of(call)
    cotangent = jax.tree.map(lambda x: x.astype(dtype), cotangent)

    @as_users_get_it
    def run(inputs):
        output, pullback = jax.vjp(call.function, *inputs)
        return output, pullback(cotangent)

    output, gradient = run(inputs)
    assert_finite((output, gradient))
    expected, _ = call.oracle(*jax.tree.map(np.longdouble, inputs))
    weights, exact = (jax.tree.leaves(x)[-1].astype(float) for x in (output, expected))
    testing.assert_close(weights, exact, 1e-5)


@pytest.mark.parametrize(("dtype", "size"), [HUGE[0], HUGE[2]])
def test_X1_finite_products_give_finite_weights_in_the_engine(dtype, size):
    """One feature as above; the soft cap is a product as well, and so is a cache's block."""
    rng = np.random.default_rng(5)
    query, key, value = (rng.standard_normal((1, 5, 1, x)).astype(dtype) for x in (1, 1, 3))
    query = (query * size).astype(dtype)
    calls: tuple[dict[str, Any], ...] = (
        {"is_causal": True},
        {"logits_soft_cap": size, "is_causal": True},
        {"sinks": value[0, 0, :, 0]},
    )

    def attend(query, key, value):
        outputs = [jattn.dot_product_attention(query, key, value, **options) for options in calls]
        sizes = {"capacity": 6, "key_value_heads": 1, "key_size": 1, "value_size": 3}
        cache = jattn.extend_cache(jattn.init_cache(**sizes, dtype=dtype), key[0], value[0])
        return [*outputs, jattn.attend_to_cache(query[0], cache)[None]]

    @as_users_get_it
    def run(*inputs):
        outputs, pullback = jax.vjp(attend, *inputs)
        return outputs, pullback([jax.numpy.ones_like(x) for x in outputs])

    outputs, gradient = run(query, key, value)
    assert_finite((outputs, gradient))
    exact = [x.astype(np.longdouble) for x in (query, key, value)]
    every = (*calls, {"is_causal": True})
    expected: Any = [oracle_of_engine(*exact, **options) for options in every]
    for output, (context, _) in zip(outputs, expected, strict=True):
        testing.assert_close(output.astype(float), np.float64(context), 1e-5)
    d_value = np.sum([pullback(np.ones_like(context))[2] for context, pullback in expected], 0)
    testing.assert_close(gradient[2].astype(float), d_value.astype(float), 1e-5)


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
