"""Batched attention against its oracle: value and all derivatives, on every path."""

import hypothesis
import hypothesis.extra.numpy as arrays_of
import pytest
from attending import CASES, OTHERS, PATHS, B, S, T, check, hiding
from hypothesis import strategies as some

few = hypothesis.settings(
    max_examples=6,
    derandomize=True,
    deadline=None,
    database=None,
    report_multiple_bugs=False,
    phases=[hypothesis.Phase.generate],
)
EVERY = [(path, name) for path in PATHS for name in OTHERS.get(path, CASES)]


@some.composite
def hidden(draw):
    """What may be hidden of a call: pairs by the mask, by the bias, lengths, and positions."""
    booleans = lambda shape: draw(arrays_of.arrays(bool, shape, elements=some.booleans()))
    integers = lambda low, high: draw(
        arrays_of.arrays("int32", B, elements=some.integers(low, high))
    )
    return {
        "mask": booleans((B, 1, T, S)),
        "unbiased": booleans((1, 1, T, S)),
        "query_seq_lengths": integers(0, T),
        "key_value_seq_lengths": integers(0, S),
        "query_offset": integers(-T, S),
    }


@pytest.mark.parametrize(("path", "name"), EVERY)
@few
@hypothesis.given(hidden(), some.integers(0, 2**32 - 1))
def test_G1_G2_G3_values_and_derivatives_match_the_oracle(path, name, hidden, seed):
    one = CASES[name]
    inputs = hiding(one, one.inputs(seed), hidden["unbiased"])
    check(path, one, inputs, one.others(**hidden), 1e-12)
