"""`jattn.testing`: it notices mistakes, says what does not fit, and works in every mode."""

import ast
import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.core import Tracer

from jattn import testing
from jattn.testing.properties import ROUNDING

ROOT = Path(__file__).parent.parent
RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.standard_normal((3, 2)), RANDOM.standard_normal((5, 2))


def scores(query, key):
    """A value, and a sum of it, of two arrays."""
    products = jnp.einsum("tk,sk->ts", query, key)
    return products, products.sum(1)


def scores_oracle(query, key):
    def pullback(cotangent):
        d_products = cotangent[0] + cotangent[1][:, None]
        return d_products @ key, d_products.T @ query

    products = query @ key.T
    return (products, products.sum(1)), pullback


def failed(function, oracle, **options):
    """The lines of a failed check's table, without the numbers."""
    with pytest.raises(AssertionError) as raised:
        testing.check(function, oracle, INPUTS, **options)
    lines = [line for line in str(raised.value).splitlines() if line.endswith("FAILED")]
    return {" ".join(line.split()[:-3]) for line in lines}


def with_pullback(change):
    """The oracle with its gradients changed by a function."""

    def oracle(*inputs):
        output, pullback = scores_oracle(*inputs)
        return output, lambda cotangent: change(*pullback(cotangent))

    return oracle


MODES = {
    "as it is": contextlib.nullcontext,
    "debug_nans": lambda: jax.debug_nans(True),
    "debug_infs": lambda: jax.debug_infs(True),
    "disable_jit": jax.disable_jit,
    "checking_leaks": jax.checking_leaks,
    "transfer_guard": lambda: jax.transfer_guard("disallow"),
    "without x64": lambda: jax.enable_x64(False),
}


@pytest.mark.parametrize("mode", MODES)
def test_a_sound_function_passes_in_every_mode_of_jax(mode):
    with MODES[mode]():
        report = testing.check(scores, scores_oracle, INPUTS)
    assert report.passed
    assert {finding.bound for finding in report.findings} >= {1e-12, 1e-11, ROUNDING["bfloat16"]}


def test_V2_each_mistake_fails_the_lines_that_are_about_it():
    wrong_key = lambda d_query, d_key: (d_query, 1.001 * d_key)
    of_key = {"gradient [1]", "oracle's gradient [1]", "forward over reverse [1]"}
    lines = failed(scores, with_pullback(wrong_key), dtypes=())
    assert of_key <= lines
    assert not any("[0]" in line or "value" in line for line in lines)
    scaled = lambda query, key: jax.tree.map(lambda x: 1.001 * x, scores(query, key))
    assert {"value [0]", "value [1]", "gradient [0]"} <= failed(scaled, scores_oracle, dtypes=())
    # Rounding to bfloat16 inside of a function shows in float32.
    rounded = lambda query, key: scores(
        *(x.astype("bfloat16").astype(x.dtype) if x.dtype == "float32" else x for x in (query, key))
    )
    assert {"float32 value [0]", "float32 value [1]"} <= failed(rounded, scores_oracle)
    by_example = lambda query, key: scores(query + 1e-9 * jnp.tanh(query.sum()), key)
    assert "value [0]" in failed(by_example, scores_oracle, dtypes=())


def not_mapped(query, key):
    """Another value under `jax.jit` and `jax.vmap` than in a plain call."""
    traced = isinstance(query, Tracer)
    return scores(query * (1.001 if traced else 1.0), key)


def test_V2_another_value_under_jit_and_vmap_is_noticed():
    report = testing.Report("", testing.transforms(not_mapped, INPUTS))
    assert [finding.passed for finding in report.findings] == [False] * 4


def test_V2_a_rule_that_forward_mode_does_not_share_is_noticed():
    @jax.custom_jvp
    def product(query, key):
        return scores(query, key)

    @product.defjvp
    def _(primals, tangents):
        value, tangent = jax.jvp(scores, primals, tangents)
        return value, jax.tree.map(lambda x: 1.001 * x, tangent)

    lines = failed(product, scores_oracle, dtypes=())
    assert {"gradient [0]", "gradient [1]"} <= lines


MISFITS = {
    "check: oracle returns a tuple of 3, expected (output, pullback)": (
        scores,
        lambda *inputs: (*scores_oracle(*inputs), None),
    ),
    "check: oracle returns a ndarray, expected (output, pullback)": (
        scores,
        lambda query, key: query @ key.T,
    ),
    "check: oracle returns a tuple of 2, expected (output, pullback)": (
        scores,
        lambda *inputs: scores_oracle(*inputs)[0],
    ),
    "check: function returns 1 array, expected 2 as its oracle": (
        lambda query, key: scores(query, key)[0],
        scores_oracle,
    ),
    "check: function returns shape (5, 3) at [0], expected (3, 5) as its oracle": (
        lambda query, key: (scores(query, key)[0].T, scores(query, key)[1]),
        scores_oracle,
    ),
    "check: function returns dtype int32 at [1], expected a floating-point dtype": (
        lambda query, key: (scores(query, key)[0], jnp.zeros(3, "int32")),
        scores_oracle,
    ),
    "check: the oracle's pullback returns 1 array, expected 2 as its inputs": (
        scores,
        with_pullback(lambda d_query, d_key: (d_query,)),
    ),
    "check: the oracle's pullback returns shape (2, 5) at [1], expected (5, 2) as its inputs": (
        scores,
        with_pullback(lambda d_query, d_key: (d_query, d_key.T)),
    ),
}


@pytest.mark.parametrize("message", MISFITS)
def test_a_function_and_an_oracle_that_do_not_fit_are_named(message):
    function, oracle = MISFITS[message]
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        testing.check(function, oracle, INPUTS)
    assert str(raised.value).startswith(message)


OPTIONS = {
    "inputs is a ndarray, expected a sequence of arrays": {"inputs": INPUTS[0]},
    "inputs is empty, expected at least one array": {"inputs": ()},
    "inputs[0] has dtype complex128, expected real numbers": {"inputs": [np.zeros(2, complex)]},
    "tolerance is nan, expected a finite number of at least 0": {"tolerance": np.nan},
    "tolerance is '1', expected a finite number of at least 0": {"tolerance": "1"},
    "conditioning is 0, expected a finite number above 0": {"conditioning": 0},
    "dtypes is 'float32', expected a sequence of": {"dtypes": "float32"},
    "dtypes is ['int8'], expected a sequence of": {"dtypes": ["int8"]},
}


@pytest.mark.parametrize("message", OPTIONS)
def test_an_argument_of_another_kind_is_named(message):
    arguments: dict[str, Any] = {"inputs": INPUTS, **OPTIONS[message]}
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        testing.check(scores, scores_oracle, **arguments)
    assert str(raised.value).startswith(f"check: {message}")


def test_a_function_that_changes_the_dtype_is_named():
    widened = lambda query, key: jax.tree.map(lambda x: x.astype("float64"), scores(query, key))
    with pytest.raises(AssertionError, match="float32 went in and float64 came out"):
        testing.check(widened, scores_oracle, INPUTS)


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (np.array([1.5]), np.array([1])),
        (np.array([0], "uint8"), np.array([255], "uint8")),
        (np.array([1 + 1j]), np.array([1.0])),
        (np.array([np.nan]), np.array([np.nan])),
        (np.array([True]), np.array([False])),
        (np.array([1.0 + 1e-9]), np.array([1.0], "float32")),
    ],
)
def test_V2_no_difference_is_rounded_away(actual, expected):
    with pytest.raises(AssertionError, match="FAILED"):
        testing.assert_close(actual, expected, 1e-12)


def test_V2_trees_without_leaves_are_close_to_nothing_else():
    testing.assert_close((), None, 0.0)
    with pytest.raises(AssertionError, match="1 leaves, expected 0"):
        testing.assert_close(np.ones(2), (), 1.0)


OPTIMIZED = """
import numpy as np
from jattn import testing
assert False, "not under -O"
for actual, options in ((np.zeros(2), {}), (np.ones(3), {})):
    try:
        testing.assert_close(actual, np.ones(2), 1e-12, **options)
    except AssertionError as error:
        print("noticed")
try:
    testing.precision(lambda x: x.astype("float16"), lambda x: (x, lambda d: (d,)),
                      (np.ones(2),), dtype="float32")
except AssertionError as error:
    print(error)
"""


def test_mistakes_are_noticed_without_assert_statements_too():
    run = [sys.executable, "-OO", "-c", OPTIMIZED]
    done = subprocess.run(run, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split("\n", 2)[:2] == ["noticed", "noticed"], done.stderr
    assert done.stdout.endswith("float32 went in and float16 came out\n")


def test_the_library_asserts_nothing_but_that_something_is_there():
    """For the type checker alone. A check that a user sees raises, so that -O removes none."""
    stray = []
    for path in (ROOT / "jattn").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Assert) and not ast.unparse(node.test).endswith("is not None"):
                stray.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}")
    assert stray == []
