"""Clean under JAX's own checks: no NaN and no infinity on the way, not even one that is dropped."""

import jax
import numpy as np
import pytest
from compiled import (
    along_rows,
    change,
    cotangent_of,
    each,
    having,
    masked,
    representatives,
    takes,
    with_options,
)

from jattn import masks
from jattn.catalog.table import RAGGED

NORMALIZING = [row for row in having("mask") if not takes(row, "query")]


def value_and_gradient(call, inputs):
    """One operation at a time, so that each result is looked at."""
    output, pullback = jax.vjp(call.function, *inputs)
    return output, pullback(cotangent_of(call))


@each("row", [row for row in representatives() if row not in NORMALIZING] + NORMALIZING)
def test_V3_no_operation_gives_nan_or_infinity(row):
    """Masked or not, with queries that have no key, and with NaN where nobody may read."""
    call = row.hardest()
    cases = [(call, call.inputs())]
    if takes(row, "mask"):
        call = with_options(masked(row), mask=RAGGED)
        unread = lambda leaf, x: (
            np.where(along_rows(np.arange(len(x)) == 4, x), np.nan, x) if leaf.leading == "s" else x
        )
        large = lambda leaf, x: np.where(RAGGED, x, np.inf) if leaf.is_of_pairs else unread(leaf, x)
        hidden = lambda leaf, x: np.where(RAGGED, x, -np.inf) if leaf.path == "bias" else x
        cases = [
            (call, change(call, call.inputs(), large)),
            (with_options(call, mask=None), change(call, call.inputs(), hidden)),
            (with_options(call, mask=masks.lengths(0)), call.inputs()),
        ]
    # Arrays of JAX, whose conversion is no operation that gives them anew.
    cases = [(case, jax.tree.map(jax.numpy.asarray, inputs)) for case, inputs in cases]
    with jax.debug_nans(True), jax.debug_infs(True):
        for case, inputs in cases:
            for leaf in jax.tree.leaves(value_and_gradient(case, inputs)):
                assert np.isfinite(leaf).all()


@each("row", representatives())
def test_V3_jaxprs_are_sound(row):
    call = row.hardest()
    with jax.enable_checks(True):
        jax.make_jaxpr(lambda *inputs: value_and_gradient(call, inputs))(*call.inputs())


def test_V3_the_checks_can_fail():
    with jax.debug_nans(True), pytest.raises(FloatingPointError):
        jax.numpy.log(np.array(-1.0))
    with jax.debug_infs(True), pytest.raises(FloatingPointError):
        jax.numpy.exp(np.array(1e6))
