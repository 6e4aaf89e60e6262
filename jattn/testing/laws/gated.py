"""Laws of cells with gates of the input alone, norms, convolutions and attention."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jattn
from jattn.testing.laws.law import RNG, law

INPUTS: Any = RNG.standard_normal((7, 3))
START: Any = np.array([0.3, -0.8])


def steps_of(cell, params):
    """Returns the states of a loop over the inputs, in which no step knows of the others."""
    states, state = [], jnp.asarray(START)
    for inputs in INPUTS:
        state = cell(params, state, inputs)
        states.append(state)
    return jnp.stack(states)


@law
def the_scan_of_a_minimal_gru_is_its_steps():
    """min_gru: from an initial state, prefixes of any length are what the steps give."""
    params = jattn.init_min_gru(jax.random.key(0), input_size=3, units=2)
    for positive in (False, True):
        cell = lambda *args, positive=positive: jattn.min_gru_cell(*args, positive=positive)
        states = steps_of(cell, params)
        for length in range(1, 8):
            found = jattn.min_gru(params, INPUTS[:length], initial=START, positive=positive)
            yield found.outputs, states[:length]
            yield found.final, states[length - 1]


@law
def a_minimal_gru_with_equal_gates_is_a_moving_average():
    """min_gru: gates of 1/4 everywhere weigh the candidates by 1/4 of powers of 3/4."""
    weight = jnp.stack([jnp.zeros((2, 3)), jnp.eye(2, 3)])
    params = jattn.MinGRUParams(weight, jnp.asarray([[-np.log(3.0)] * 2, [0.0, 0.0]]))
    powers = 0.75 ** np.arange(7)[::-1]
    yield (
        jattn.min_gru(params, INPUTS, initial=START).final,
        0.75**7 * START + powers @ INPUTS[:, :2] / 4,
    )


@law
def a_minimal_gru_whose_gate_is_closed_keeps_its_state():
    """min_gru_cell: a gate of zero keeps the state, and one of one replaces it."""
    params = jattn.init_min_gru(jax.random.key(0), input_size=3, units=2)
    candidate = params.input_weight[1] @ INPUTS[0]
    for gate, expected in ((-1e3, START), (1e3, candidate)):
        bias = jnp.asarray(params.bias).at[0].set(gate)
        yield jattn.min_gru_cell(params._replace(bias=bias), START, INPUTS[0]), expected


@law
def the_scan_of_a_minimal_lstm_is_its_steps():
    """min_lstm: from an initial state, prefixes of any length are what the steps give."""
    params = jattn.init_min_lstm(jax.random.key(0), input_size=3, units=2)
    states = steps_of(jattn.min_lstm_cell, params)
    for length in range(1, 8):
        yield jattn.min_lstm(params, INPUTS[:length], initial=START).outputs, states[:length]


@law
def gates_of_a_minimal_lstm_that_underflow_have_shares():
    """min_lstm_cell: of gates exp(-900) and exp(-900) / 3, the first has a share of 3/4."""
    weight = jnp.stack([jnp.zeros((2, 3)), jnp.zeros((2, 3)), jnp.eye(2, 3)])
    bias = jnp.asarray([[-900.0] * 2, [-900.0 - np.log(3.0)] * 2, [0.0] * 2])
    params = jattn.MinLSTMParams(weight, bias)
    new = jattn.min_lstm_cell(params, START, INPUTS[0])
    yield new, (3 * START + INPUTS[0, :2]) / 4


@law
def a_minimal_lstm_with_one_gate_open_is_a_minimal_gru():
    """min_lstm: with an input gate of 1 - forget, shares are gates, of a minimal GRU's steps."""
    gru = jattn.init_min_gru(jax.random.key(0), input_size=3, units=2)
    write, candidate = gru.input_weight
    lstm = jattn.MinLSTMParams(jnp.stack([-write, write, candidate]), jnp.zeros((3, 2)))
    yield jattn.min_lstm(lstm, INPUTS).outputs, jattn.min_gru(gru, INPUTS).outputs


@law
def the_scan_of_a_simple_recurrent_unit_is_its_steps():
    """sru: with and without weights of the state, outputs are what the steps give."""
    drawn = jattn.init_sru(jax.random.key(0), input_size=3, units=2)
    for params in (drawn, drawn._replace(state_weight=None)):
        state, outputs = jattn.SRUState(jnp.zeros(2), jnp.asarray(START)), []
        for inputs in INPUTS:
            state = jattn.sru_cell(params, state, inputs)
            outputs.append(state.hidden)
        found = jattn.sru(params, INPUTS, initial=START)
        yield found.outputs, jnp.stack(outputs)
        yield found.final, state.cell


@law
def a_simple_recurrent_unit_with_a_closed_reset_is_its_input():
    """sru_cell: a reset gate of zero gives the input, and a forget gate of one keeps the state."""
    drawn = jattn.init_sru(jax.random.key(0), input_size=2, units=2)
    params = drawn._replace(bias=jnp.asarray([[1e3] * 2, [-1e3] * 2]))
    state = jattn.sru_cell(params, jattn.SRUState(START, START), INPUTS[0, :2], skip_scale=2.0)
    yield state.hidden, 2.0 * INPUTS[0, :2]
    yield state.cell, START


@law
def a_normalized_gru_does_not_see_the_scale_of_its_inputs():
    """layer_norm_gru_cell: with epsilon 0 the scale of inputs is nothing, nor is a common row."""
    params = jattn.init_layer_norm_gru(jax.random.key(0), input_size=3, units=2)
    cell = lambda params, inputs: jattn.layer_norm_gru_cell(params, START, inputs, epsilon=0.0)
    expected = cell(params, INPUTS[0])
    yield cell(params, 8.0 * INPUTS[0]), expected
    moved = params.input_weight + jnp.asarray(INPUTS[1])[None, None]
    yield cell(params._replace(input_weight=moved), INPUTS[0]), expected


@law
def a_normalized_gru_without_scales_is_its_shifts():
    """layer_norm_gru_cell: with scales of zero, a GRU of its shifts alone."""
    params = jattn.init_layer_norm_gru(jax.random.key(0), input_size=3, units=2)
    rows = {"input_shift": (0.7, 0.0, 0.0), "hidden_shift": (0.2, 0.2, 0.2)}
    shifts = {name: jnp.tile(jnp.asarray(row)[:, None], (1, 2)) for name, row in rows.items()}
    none = {name: jnp.zeros((3, 2)) for name in ("input_scale", "hidden_scale")}
    reset, update = 1 / (1 + np.exp(-0.9)), 1 / (1 + np.exp(-0.2))
    new = jattn.layer_norm_gru_cell(params._replace(**shifts, **none), START, INPUTS[0])
    yield new, (1 - update) * np.tanh(0.2 * reset) + update * START


@law
def kernels_of_one_entry_are_a_gru_at_each_place():
    """convolutional_gru_cell: kernels of one entry are `reset_before_gru_cell` at each place."""
    gru = jattn.init_gru(jax.random.key(0), input_size=3, units=2)
    parts = (gru.input_weight, gru.hidden_weight)
    kernels = [weight[:, :, None, None] for weight in parts]
    params = jattn.ConvolutionalGRUParams(kernels[0], kernels[1], gru.input_bias)
    hidden, image = (jnp.asarray(RNG.standard_normal((4, 5, size))) for size in (2, 3))
    at_each = jax.vmap(jax.vmap(jattn.reset_before_gru_cell, (None, 0, 0)), (None, 0, 0))
    yield jattn.convolutional_gru_cell(params, hidden, image), at_each(gru, hidden, image)


@law
def a_moved_image_is_a_moved_state():
    """convolutional_gru_cell: away from the borders, moving images by one place moves the state."""
    params = jattn.init_convolutional_gru(jax.random.key(0), input_channels=3, channels=2)
    hidden, image = (jnp.asarray(RNG.standard_normal((7, 8, size))) for size in (2, 3))
    move = lambda images: jnp.roll(images, (1, -1), (0, 1))
    # A state reads two places away: through the kernels of the reset gate and of the candidate.
    inner = lambda images: images[3:-3, 3:-3]
    yield (
        inner(jattn.convolutional_gru_cell(params, move(hidden), move(image))),
        inner(move(jattn.convolutional_gru_cell(params, hidden, image))),
    )


@law
def attention_of_zero_keeps_a_state():
    """attention_gru_cell: a weight of 0 keeps the state, and one of 1 - update is `gru_cell`."""
    gru = jattn.init_gru(jax.random.key(0), input_size=3, units=2)
    yield jattn.attention_gru_cell(gru, START, INPUTS[0], jnp.asarray(0.0)), START
    still = [jnp.asarray(weight).at[1].set(0.0) for weight in gru[:2]]
    bias = jnp.asarray(gru.input_bias).at[1].set(-np.log(3.0))
    fixed = jattn.GRUParams(still[0], still[1], bias, gru.hidden_bias)
    yield (
        jattn.attention_gru_cell(fixed, START, INPUTS[0], jnp.asarray(0.75)),
        jattn.gru_cell(fixed, START, INPUTS[0]),
    )


@law
def attention_scales_the_step_of_a_gru():
    """attention_update_gru_cell: it moves by its weight times the step of `gru_cell`."""
    gru = jattn.init_gru(jax.random.key(0), input_size=3, units=2)
    step = jattn.gru_cell(gru, START, INPUTS[0]) - START
    for weight in (0.0, 0.3, 1.0):
        moved = jattn.attention_update_gru_cell(gru, START, INPUTS[0], jnp.asarray(weight))
        yield moved, START + weight * step
