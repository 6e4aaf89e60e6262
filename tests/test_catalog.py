"""The catalog: the arrays that its cases draw, their names, and the case that gives the most."""

import numpy as np
import pytest

import jattn
from jattn.catalog import MECHANISMS, CaseCall, case, skeleton
from jattn.catalog.row import oracle_of

NAMED = {row.name: row for row in MECHANISMS}


def test_no_two_calls_have_one_name():
    names = [call.name for row in MECHANISMS for call in row.calls()]
    assert len(names) == len(set(names)) > 40


def test_arrays_are_drawn_in_the_deviation_that_is_stated():
    """One half, over the root of the fan-in for parameters: then scores are of moderate size."""
    sizes = {"t": 199, "s": 211, "q": 197, "k": 193, "p": 97, "v": 3}
    call = CaseCall(NAMED["additive_attention"], case(sizes))
    params, query, key, value = call.inputs()
    assert (query.shape, key.shape, value.shape) == ((199, 197), (211, 193), (211, 3))
    np.testing.assert_allclose(query.std(), 0.5, rtol=0.02)
    np.testing.assert_allclose(params.query_weight.std(), 0.5 / np.sqrt(197), rtol=0.03)
    np.testing.assert_allclose(params.key_weight.std(), 0.5 / np.sqrt(193), rtol=0.03)
    again = call.inputs()
    assert all(map(np.array_equal, again[1:], (query, key, value)))


def test_the_hardest_case_gives_the_most_options():
    assert NAMED["dot_attention"].hardest().name == "dot_attention-mask-bias"
    assert NAMED["softmax"].hardest().name == "softmax-mask"


def test_a_function_without_an_oracle_is_told_where_it_belongs():
    with pytest.raises(ValueError, match=r"^in_chunks has no oracle: write in_chunks in "):
        oracle_of(jattn.in_chunks)


TABLE = """
MECHANISMS: tuple[Mechanism, ...] = (
    Mechanism(one, family="score"),
    Mechanism(two, family="score"),
    Mechanism(three, family="layer"),
)
"""
PACKAGE = """\"\"\"The package.\"\"\"

from jattn.attention.dot import dot_attention as dot_attention
from jattn.layers import affine as affine

__version__ = "1"
"""


def test_a_new_row_is_the_last_of_its_family():
    row = '    Mechanism(new, family="score"),\n'
    lines = skeleton.with_row(TABLE, row, "score").splitlines(keepends=True)
    assert lines[4] == row
    assert "".join([*lines[:4], *lines[5:]]) == TABLE
    assert skeleton.with_row(TABLE, row, "recurrent").splitlines(keepends=True)[5] == row


@pytest.mark.parametrize(
    ("module", "line"), [("attention.content", 2), ("attention.dove", 3), ("linear.new", 4)]
)
def test_a_new_export_is_in_its_alphabetic_place(module, line):
    text = skeleton.with_exports(PACKAGE, f"jattn.{module}", ["new"])
    lines = text.splitlines(keepends=True)
    assert lines[line] == f"from jattn.{module} import new as new\n"
    assert "".join([*lines[:line], *lines[line + 1 :]]) == PACKAGE
