"""Cells with gates of the input alone, norms, convolutions and attention: padding and refusals."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import each, leaves_of, with_options

import jattn
from jattn.catalog import MECHANISMS

SCANS = [row for row in MECHANISMS if row.name in ("min_gru", "min_lstm", "sru")]
VALID: Any = np.array([False, True, False, True])


def value_and_gradient(call, inputs):
    def run(inputs):
        output, pullback = jax.vjp(call.function, *inputs)
        return output, pullback(jax.tree.map(jax.numpy.ones_like, output))

    return jax.jit(run)(inputs)


@each("row", SCANS)
def test_R2_steps_that_are_not_valid_change_no_bit(row):
    """Not even steps of NaN: they have no gradient, and outputs of zero."""
    call = with_options(row.calls()[-1], valid=VALID)
    leaves, inputs = leaves_of(call), call.inputs()
    index = len([leaf for leaf in leaves if leaf.path.startswith("params")])
    flat, structure = jax.tree.flatten(inputs)
    flat[index] = np.where(VALID[:, None], flat[index], np.nan)
    clean = value_and_gradient(call, inputs)
    found = value_and_gradient(call, jax.tree.unflatten(structure, flat))
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(clean), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.asarray(found[0].outputs)[~VALID].any()


RNG = jax.random.key(0)
SEQUENCE: Any = np.ones((4, 3))
SRU = jattn.init_sru(RNG, input_size=3, units=2)
IMAGES = jattn.init_convolutional_gru(RNG, input_channels=1, channels=1, size=2)
REFUSED = {
    "min_gru: length is 5, expected 0 to 4 (s)": lambda: jattn.min_gru(
        jattn.init_min_gru(RNG, input_size=3, units=2), SEQUENCE, length=5
    ),
    "min_lstm: valid is given beside length, expected one of them": lambda: jattn.min_lstm(
        jattn.init_min_lstm(RNG, input_size=3, units=2), SEQUENCE, length=3, valid=VALID
    ),
    "sru: params.skip_weight is None, expected an array for 3 inputs (i) and 2 units (n)": (
        lambda: jattn.sru(SRU._replace(skip_weight=None), SEQUENCE)
    ),
    "sru_cell: params.skip_weight is None, expected an array": lambda: jattn.sru_cell(
        SRU._replace(skip_weight=None), jattn.SRUState(jnp.ones(2), jnp.ones(2)), SEQUENCE[0]
    ),
    "convolutional_gru_cell: params.input_kernel has shape (3, 1, 2, 2, 1), expected odd l and m": (
        lambda: jattn.convolutional_gru_cell(IMAGES, jnp.ones((3, 3, 1)), jnp.ones((3, 3, 1)))
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_arguments_that_do_not_fit_are_refused_by_name(message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        REFUSED[message]()
