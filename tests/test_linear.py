"""Linear recurrences: chunks of any size, a state that is passed on, and padding."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import each, leaves_of, with_options, with_sizes

import jattn
from jattn import testing
from jattn.catalog import MECHANISMS
from jattn.linear.chunk import inverse_of_unit_lower

ROWS = [row for row in MECHANISMS if row.family == "linear"]
LONG = 37


def call_of(row, **options):
    """The row's case with the most options, over more steps than a chunk."""
    return with_options(with_sizes(row.hardest(), t=LONG, n=2), length=None, **options)


def value_and_gradient(call, inputs):
    def run(inputs):
        output, pullback = jax.vjp(call.function, *inputs)
        return output, pullback(jax.tree.map(jnp.ones_like, output))

    return jax.jit(run)(inputs)


@each("row", ROWS)
def test_every_size_of_a_chunk_gives_the_same(row):
    inputs = call_of(row).inputs()
    expected = value_and_gradient(call_of(row, chunk_size=1), inputs)
    for chunk_size in (2, 7, 32, None):
        found = value_and_gradient(call_of(row, chunk_size=chunk_size), inputs)
        testing.assert_close(found, expected, 1e-12)


@each("row", ROWS)
def test_a_state_that_is_passed_on_continues_the_sequence(row):
    call = call_of(row)
    paths = [leaf.path for leaf in leaves_of(call)]
    inputs = dict(zip(paths, call.inputs(), strict=True))
    timed = [leaf.path for leaf in leaves_of(call) if leaf.leading == "t"]
    part = lambda steps, **changes: call.function(
        *({**inputs, **{name: inputs[name][steps] for name in timed}, **changes}[n] for n in paths)
    )
    first = part(slice(0, 11))
    starts = {f"initial_{name}": x for name, x in first._asdict().items() if name != "outputs"}
    starts["initial"] = starts.pop("initial_state")
    second = part(slice(11, None), **starts)
    whole = call.function(*inputs.values())
    testing.assert_close(np.concatenate([first.outputs, second.outputs]), whole.outputs, 1e-12)
    testing.assert_close(second[1:], whole[1:], 1e-12)


@each("row", ROWS)
def test_padded_steps_change_nothing(row):
    """Not even steps of NaN: they have no gradient, and outputs of zero."""
    call = with_options(row.hardest(), length=3)
    clean = value_and_gradient(call, call.inputs())
    edit: Any = lambda leaf, x: x if leaf.leading != "t" else np.where(past(x), np.nan, x)
    past = lambda x: (np.arange(len(x)) >= 3).reshape(-1, *[1] * (x.ndim - 1))
    leaves, inputs = leaves_of(call), call.inputs()
    poisoned = tuple(edit(leaf, x) for leaf, x in zip(leaves, inputs, strict=True))
    found = value_and_gradient(call, poisoned)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(clean), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.asarray(found[0].outputs)[3:].any()


@each("row", ROWS)
def test_a_length_that_is_too_long_is_refused_by_name(row):
    call = with_options(row.hardest(), length=6)
    with pytest.raises(ValueError, match=rf"^{row.name}: length is 6, expected 0 to 5 \(t\)"):
        call.function(*call.inputs())


def test_erasing_and_reading_come_together():
    rows: Any = np.ones((5, 3))
    for missing, given in (("erase", "write"), ("write", "erase")):
        message = f"delta_rule: {missing} is None, expected an array as the other one is"
        with pytest.raises(ValueError, match=re.escape(message)):
            jattn.linear.delta_rule(rows, rows, rows, **{given: rows})
    empty: Any = rows[:, None][:, :0]
    with pytest.raises(ValueError, match=r"^delta_product: n is 0, expected at least 1"):
        jattn.linear.delta_product(rows, empty, empty, empty[..., 0])


def test_decays_of_zero_have_derivatives():
    """A decay of zero has a derivative, though its logarithm has none."""
    call = ROWS[0].hardest()
    names = [leaf.path for leaf in leaves_of(call)]
    inputs = list(call.inputs())
    decay = inputs[names.index("decay")]
    decay[1], decay[0, 1] = 0.0, 0.0
    findings = testing.first_order(call.function, call.oracle, tuple(inputs), tolerance=1e-12)
    assert testing.Report("zeros", tuple(findings)).passed


@pytest.mark.parametrize("count", [1, 7, 32, 48])
def test_G1_a_unit_lower_triangular_matrix_is_inverted(count):
    below = np.tril(np.random.default_rng(0).standard_normal((count, count)) / 4, -1)
    inverse, pullback = jax.vjp(inverse_of_unit_lower, jnp.asarray(below))
    expected = np.linalg.inv(np.eye(count) + below)
    testing.assert_close(inverse, expected, 1e-12)
    given = np.random.default_rng(1).standard_normal((count, count))
    testing.assert_close(pullback(jnp.asarray(given))[0], -expected.T @ given @ expected.T, 1e-12)
