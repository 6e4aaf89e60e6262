"""Dtypes: what goes in comes out, arithmetic is in at least float32, and errors are few units."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import (
    change,
    cotangent_of,
    each,
    evaluate,
    having,
    leaves_of,
    masked,
    representatives,
    takes,
    with_options,
    with_sizes,
)

from jattn import testing
from jattn.catalog import MECHANISMS
from jattn.catalog.table import RAGGED
from jattn.oracle.normalizers import softmax
from jattn.testing.compare import compare
from jattn.testing.properties import ROUNDING
from jattn.testing.trees import like

FLOATING = {"float16", "bfloat16", "float32", "float64"}
HALF = {"float16", "bfloat16"}
# What comes out of two dtypes that go in.
MIXED = {
    ("float32", "float64"): "float64",
    ("bfloat16", "float32"): "float32",
    ("float16", "float64"): "float64",
    ("bfloat16", "float16"): "float32",
    ("float16", "bfloat16"): "float32",
}


def equations(jaxpr):
    """Every equation of a jaxpr and of the jaxprs inside it, innermost ones only."""
    for equation in jaxpr.eqns:
        inner = [
            getattr(sub, "jaxpr", sub)
            for value in equation.params.values()
            for sub in (value if isinstance(value, tuple | list) else [value])
            if hasattr(getattr(sub, "jaxpr", sub), "eqns")
        ]
        if inner:
            for sub in inner:
                yield from equations(sub)
        else:
            yield equation


def value_and_gradient(call, inputs, cotangent):
    output, pullback = jax.vjp(call.function, *inputs)
    return output, pullback(cotangent)


def cast(tree, dtype):
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), tree)


@functools.cache
def operations(name, dtype):
    """(primitive, dtypes) of each operation that the row's value and gradient are made of."""
    call = next(row for row in MECHANISMS if row.name == name).hardest()
    inputs = cast(call.inputs(), dtype)
    cotangent = cast(cotangent_of(call), dtype)
    jaxpr = jax.make_jaxpr(functools.partial(value_and_gradient, call))(inputs, cotangent)
    for leaf in jaxpr.out_avals:
        assert leaf.dtype == dtype
    found = set()
    for equation in equations(jaxpr.jaxpr):
        values = [v.aval for v in (*equation.invars, *equation.outvars)]
        # A Python number is a weak scalar of 64 bits until it meets an array.
        dtypes = {str(v.dtype) for v in values if not (v.weak_type and v.shape == ())}
        found.add((equation.primitive.name, frozenset(dtypes & FLOATING)))
    return found


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_D1_full_precision_stays_what_it_is(mechanism, dtype):
    for primitive, dtypes in operations(mechanism.name, dtype):
        assert dtypes <= {dtype}, f"{primitive} in {sorted(dtypes)}"


@pytest.mark.parametrize("dtype", sorted(HALF))
@each("row", [row for row in MECHANISMS if "D1" not in row.exceptions])
def test_D1_nothing_is_computed_in_half_precision(row, dtype):
    """Half-precision arrays are converted and passed on, and enter no arithmetic."""
    moves = {"convert_element_type", "broadcast_in_dim", "reshape", "squeeze", "gather"}
    for primitive, dtypes in operations(row.name, dtype):
        assert dtypes <= {dtype, "float32"}, f"{primitive} in {sorted(dtypes)}"
        assert dtype not in dtypes or primitive in moves, f"{primitive} in {dtype}"


@pytest.mark.parametrize(("one", "other"), MIXED)
def test_D1_mixed_dtypes_promote(mechanism, one, other):
    """Positional arrays promote, wherever they stand; keyword arrays follow them."""
    call = mechanism.hardest()
    signature = [leaf.path.partition(".")[0] for leaf in leaves_of(call)]
    keyword = set(call.case.options)
    leaves, structure = jax.tree.flatten(call.inputs())
    positional = [i for i, path in enumerate(signature) if path not in keyword]
    if len(positional) > 1:
        for odd in (positional[0], positional[-1]):
            arrays = [
                jnp.asarray(x, one if index == odd else other) for index, x in enumerate(leaves)
            ]
            result = jax.eval_shape(call.function, *jax.tree.unflatten(structure, arrays))
            assert {str(leaf.dtype) for leaf in jax.tree.leaves(result)} == {MIXED[one, other]}
    arrays = [
        jnp.asarray(x, one if index in positional else other) for index, x in enumerate(leaves)
    ]
    result = jax.eval_shape(call.function, *jax.tree.unflatten(structure, arrays))
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(result)} == {one}


def families(call):
    """Inputs harder than small normal ones, by name; parameters and numbers stay as they are."""
    rng = np.random.default_rng(5)
    scored = {"query", "scores"}
    # A row of a single number has no place for its one.
    one_hot = lambda x: np.eye(*x.shape)[rng.permutation(len(x))] if x.ndim == 2 else x
    edits = {
        "normal": lambda leaf, x: 2 * x,
        "uniform": lambda leaf, x: rng.random(x.shape),
        "heavy tails": lambda leaf, x: rng.standard_t(3, x.shape),
        "large scores": lambda leaf, x: 16 * x if leaf.path in scored else x,
        # Products of these are below the smallest float32 (rule X1).
        "tiny scores": lambda leaf, x: 1e-25 * x if leaf.path in ("query", "key") else x,
        "one-hot": lambda leaf, x: one_hot(x) if leaf.leading in ("t", "s") else x,
    }
    positive = call.mechanism.positive

    def edited(leaf, x, edit):
        if x.ndim == 0 or leaf.path.startswith("params."):
            return x
        return np.abs(edit(leaf, x)) if leaf.path in positive else edit(leaf, x)

    return {
        name: change(call, call.inputs(), functools.partial(edited, edit=edit))
        for name, edit in edits.items()
    }


def largest_score(call, inputs):
    """Of the scores that the normalizer is given, by the oracle; 0 where there is none."""
    largest = [0.0]

    def recording(scores, mask):
        largest.append(np.abs(scores).max(initial=0.0))
        return softmax(scores, mask)  # pyright: ignore[reportCallIssue]

    if takes(call.mechanism, "normalizer"):
        with_options(call, normalizer=recording).oracle(*inputs)
    elif takes(call.mechanism, "scores"):
        largest.append(np.abs(inputs[0]).max())
    return max(largest)


def judged(call, inputs, dtype, result, cotangent):
    """Findings of a value and gradient in `dtype` against the oracle in more digits (N1, N2).

    They may be as much further off than a few roundings as the exact ones move when each input is
    off by one. Gradients of what softmax hardly sees are small differences of large numbers, so a
    gradient is measured against the largest entry of all of them.
    """
    wide = np.longdouble if dtype == "float64" else np.float64
    widen = lambda tree: jax.tree.map(lambda x: np.asarray(x, wide), tree)
    unit, rng = ROUNDING[dtype], np.random.default_rng(6)

    def exact(inputs):
        output, pullback = call.oracle(*inputs)
        return output, pullback(widen(like(output, cotangent)))

    inputs = widen(inputs)
    expected = exact(inputs)
    moved = exact(jax.tree.map(lambda x: x * (1 + unit * rng.choice([-1, 1], x.shape)), inputs))
    kappa = max(1.0, largest_score(call, inputs) / 4)
    steps = call.sizes["t"] if "N1 sums" in call.mechanism.exceptions else 1
    everything = lambda tree: np.concatenate(
        [np.ravel(np.asarray(leaf, wide)) for leaf in jax.tree.leaves(tree)]
    )
    parts = (("value", lambda tree: tree, 8), ("gradient", everything, 32))
    findings = []
    for (what, joined, units), got, want, other in zip(parts, result, expected, moved, strict=True):
        shifts = compare("", joined(other), joined(want), np.inf)
        errors = compare(f"{dtype} {what}", joined(got), joined(want), 0.0)
        for finding, shift in zip(errors, shifts, strict=True):
            # Twice, since errors of random sign partly cancel.
            bound = units * unit * max(kappa, 2 * shift.error / unit) * steps**0.5
            findings.append(finding._replace(bound=unit if dtype in HALF else bound))
    return findings


def assert_passed(name, findings):
    report = testing.Report(name, tuple(findings))
    assert report.passed, str(report)


def check_rounding(mechanism, dtype):
    """33 queries and 64 keys, a third of the pairs masked, one query without a key."""
    call = mechanism.hardest()
    if takes(mechanism, "mask"):
        mask = np.random.default_rng(3).random((33, 64)) < 0.7
        mask[7] = False
        call = with_options(with_sizes(masked(mechanism), t=33, s=64), mask=mask)
    cotangent = cast(cotangent_of(call), dtype)
    run = jax.jit(lambda inputs: value_and_gradient(call, inputs, cotangent))
    for name, inputs in families(call).items():
        rounded = cast(inputs, dtype)
        result = run(rounded)
        assert {str(leaf.dtype) for leaf in jax.tree.leaves(result)} == {dtype}
        assert_passed(f"{call.name}: {name}", judged(call, rounded, dtype, result, cotangent))


@each("row", [row for row in MECHANISMS if "N1" not in row.exceptions])
def test_N1_N2_X1_rounding_errors_are_few_units_on_harder_inputs(row):
    check_rounding(row, "float32")


@each("row", representatives())
def test_N1_N2_rounding_to_half_is_the_only_error_that_shows(row):
    check_rounding(row, "bfloat16")


@each("row", [row for row in having("mask") if "N1 float64" not in row.exceptions])
def test_D1_N1_N2_float64_is_as_good_as_eighty_bits_can_tell(row):
    call = with_options(masked(row), mask=RAGGED)
    cotangent = cotangent_of(call)
    for name, inputs in families(call).items():
        result = evaluate(masked(row), inputs, RAGGED, cotangent)
        findings = judged(call, inputs, "float64", result[:2], cotangent)
        assert_passed(f"{call.name}: {name}", findings)


def test_N1_the_judge_is_more_exact_than_the_judged():
    assert np.finfo(np.longdouble).eps < np.finfo(np.float64).eps
