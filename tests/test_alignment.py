"""Mechanisms with memory: single steps are the whole pass, and a state keeps its form."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import each, with_options

from jattn import alignment, testing
from jattn.catalog import MECHANISMS
from jattn.catalog.table import RAGGED

STEPPED = [row for row in MECHANISMS if hasattr(alignment, f"{row.name}_step")]


def step_of(row):
    return getattr(alignment, f"{row.name}_step")


def stepped(row, dtype):
    """The arguments of a masked call by name, and a step of one of its queries."""
    call = row.hardest()
    names = call.input_names
    inputs = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), call.inputs())
    given = dict(zip(names, inputs, strict=True)) | {"mask": jnp.asarray(RAGGED)}
    if given["initial"].shape == RAGGED.shape[1:]:  # A whole pass drops the state of unread keys.
        given["initial"] = jnp.where(RAGGED.any(0), given["initial"], 0.0)
    fixed = {n: o for n, o in call.case.options.items() if n not in given and "." not in n}
    of_queries = [n for n in ("query", "mask", "bias", "transition") if n in given]
    accepted = inspect.signature(step_of(row)).parameters

    def step(state, queries):
        arguments = given | dict(zip(of_queries, queries, strict=True)) | fixed
        del arguments["initial"]
        assert set(arguments) <= set(accepted)
        return step_of(row)(state=state, **arguments)

    return given, fixed, step, [given[name] for name in of_queries]


def test_each_mechanism_with_a_state_has_a_step():
    with_state = [
        row.name
        for row in MECHANISMS
        if row.family == "alignment"
        and {"query", "initial"} <= set(inspect.signature(row.function).parameters)
    ]
    assert with_state == [row.name for row in STEPPED]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@each("row", STEPPED)
def test_steps_give_the_whole_pass(row, dtype):
    """With a query that has no key, and keys that only some queries may attend to."""
    given, fixed, step, queries = stepped(row, dtype)

    @jax.jit
    def run(initial, queries):
        def advance(state, row):
            attended, state = step(state, row)
            return state, attended

        return jax.lax.scan(advance, initial, queries)[1]

    whole = jax.jit(lambda given: row.function(**given, **fixed))
    bound = 1e-13 if dtype is np.float64 else 1e-5
    testing.assert_close(run(given["initial"], queries), whole(given), bound)


@each("row", STEPPED)
def test_a_padded_key_changes_nothing_in_a_step(row):
    given, _, step, queries = stepped(row, np.float64)
    first = [rows[0] for rows in queries]
    clean = step(given["initial"], first)
    last = np.arange(RAGGED.shape[1]) == RAGGED.shape[1] - 1
    for name in ("key", "value"):
        if name in given:
            given[name] = jnp.where(last[:, None], jnp.nan, given[name])
    poisoned = step(given["initial"], first)
    testing.assert_close(poisoned, clean, 0.0)


WRONG = [
    ("guided_attention_loss", "width", np.inf, "a finite number above 0"),
    ("guided_attention_loss", "width", 0.0, "a finite number above 0"),
    ("guided_attention_loss", "query_length", 2.5, "an integer"),
    ("guided_attention_loss", "key_length", 6, "0 to 5"),
    ("monotonic_alignment_search", "query_length", -1, "0 to 7"),
    ("monotonic_alignment_search", "key_length", True, "an integer"),
    ("dynamic_convolution", "floor", np.nan, "a finite number above 0"),
    ("fertility_coverage", "most", -1.0, "a finite number above 0"),
    ("mocha", "width", 0, "at least 1"),
    ("mocha", "width", 2.5, "an integer"),
    ("copy_distribution", "extra_words", -1, "at least 0"),
]


@pytest.mark.parametrize(("name", "option", "wrong", "expected"), WRONG)
def test_options_of_another_kind_are_refused_by_name(name, option, wrong, expected):
    call = next(row for row in MECHANISMS if row.name == name).hardest()
    wrong_call = with_options(call, **{option: wrong})
    with pytest.raises(ValueError, match=rf"^{name}: {option} is .*, expected {expected}"):
        wrong_call.function(*call.inputs())


def test_copied_tokens_are_words():
    words, weights = jnp.full((1, 3), 1 / 3), jnp.full((1, 2), 0.5)
    with pytest.raises(ValueError, match=r"^copy_distribution: tokens holds 3, expected 0 to 2"):
        alignment.copy_distribution(jnp.ones(1), words, weights, jnp.array([0, 3]))
