"""Every row of the catalog against its oracle, in float64, float32 and bfloat16."""

import inspect

import jax
import numpy as np
import pytest
from compiled import each, representatives

from jattn import testing
from jattn.catalog import MECHANISMS


def passed(findings, name):
    report = testing.Report(name, tuple(findings))
    assert report.passed, str(report)


def test_G1_G2_value_and_gradient_match_the_oracle_and_its_complex_step(call):
    tolerance = call.mechanism.tolerance
    passed(
        testing.first_order(call.function, call.oracle, call.inputs(), tolerance=tolerance),
        call.name,
    )


def test_G3_second_derivatives_agree_in_every_order(hardest):
    tolerance = 10 * hardest.mechanism.tolerance
    passed(
        testing.second_order(
            hardest.function, hardest.oracle, hardest.inputs(), tolerance=tolerance
        ),
        hardest.name,
    )


@each("row", representatives())
def test_T1_T2_jit_and_vmap_change_nothing(row):
    """Without jit each operation is a program of its own: a row of each family is enough."""
    call = row.hardest()
    passed(testing.transforms(call.function, call.inputs()), call.name)


def test_D1_rounding_to_bfloat16_is_the_only_error(hardest):
    """Float32, which shows what a compiler reorders, has a harder test, in test_precision.py."""
    conditioning = hardest.mechanism.conditioning
    findings = testing.precision(
        hardest.function,
        hardest.oracle,
        hardest.inputs(),
        dtype="bfloat16",
        conditioning=conditioning,
    )
    passed(findings, hardest.name)


def test_oracle_has_the_same_arguments(mechanism):
    assert list(inspect.signature(mechanism.function).parameters) == list(
        inspect.signature(mechanism.oracle).parameters
    )


def test_V2_the_comparison_can_fail():
    """One leaf off by one part in a million is noticed, in every leaf; and so is NaN."""
    row = max(MECHANISMS, key=lambda row: len(jax.tree.leaves(row.calls()[0].inputs())))
    inputs = row.calls()[0].inputs()
    leaves, structure = jax.tree.flatten(inputs)
    for index, leaf in enumerate(leaves):
        off = [*leaves[:index], leaf * (1 + 1e-6), *leaves[index + 1 :]]
        with pytest.raises(AssertionError, match="FAILED"):
            testing.assert_close(jax.tree.unflatten(structure, off), inputs, row.tolerance)
    with pytest.raises(AssertionError, match="FAILED"):
        testing.assert_close(np.array([np.nan]), np.array([1.0]), 1.0)
