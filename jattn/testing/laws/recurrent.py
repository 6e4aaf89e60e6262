"""Laws of recurrent cells."""

import jax
import jax.numpy as jnp

import jattn
from jattn.testing.laws.law import law


@law
def a_gru_with_an_open_update_gate_keeps_its_state():
    """gru_cell: with an update gate of one the state stays as it is."""
    params = jattn.init_gru(jax.random.key(0), input_size=3, units=2)
    bias = jnp.asarray(params.input_bias).at[1].set(1e3)
    hidden = jnp.asarray([0.3, -0.8])
    yield jattn.gru_cell(params._replace(input_bias=bias), hidden, jnp.ones(3)), hidden


@law
def a_gru_with_closed_gates_is_a_tanh():
    """gru_cell: with both gates closed the state is the tanh of the candidate's input part."""
    params = jattn.init_gru(jax.random.key(0), input_size=3, units=2)
    bias = jnp.asarray(params.input_bias).at[:2].set(-1e3)
    hidden, inputs = jnp.asarray([0.3, -0.8]), jnp.asarray([0.1, 0.5, -1.0])
    candidate = jnp.tanh(params.input_weight[2] @ inputs + params.input_bias[2])
    yield jattn.gru_cell(params._replace(input_bias=bias), hidden, inputs), candidate


def lstm(*biases: float):
    """Returns an LSTM with these biases of its gates, a state and inputs."""
    params = jattn.init_lstm(jax.random.key(0), input_size=3, units=2)
    opened = jnp.asarray(params.input_bias) + jnp.asarray(biases)[:, None]
    state = jattn.LSTMState(jnp.asarray([0.3, -0.8]), jnp.asarray([1.5, -0.4]))
    return params._replace(input_bias=opened), state, jnp.asarray([0.1, 0.5, -1.0])


@law
def an_lstm_that_neither_forgets_nor_writes_keeps_its_memory():
    """lstm_cell: with a forget gate of one and an input gate of zero the memory cell stays."""
    params, state, inputs = lstm(-1e3, 1e3, 0.0, 1e3)
    new = jattn.lstm_cell(params, state, inputs)
    yield new.cell, state.cell
    yield new.hidden, jnp.tanh(state.cell)


@law
def an_lstm_with_a_closed_output_gate_returns_zero():
    """lstm_cell: with an output gate of zero the output is zero, whatever the memory cell holds."""
    params, state, inputs = lstm(0.0, 0.0, 0.0, -1e3)
    yield jattn.lstm_cell(params, state, inputs).hidden, jnp.zeros(2)


@law
def an_lstm_with_open_gates_adds_up_its_candidates():
    """lstm: with open gates and no hidden weight the memory cell is the sum of the candidates."""
    params, _, _ = lstm(1e3, 1e3, 0.0, 1e3)
    params = params._replace(hidden_weight=jnp.zeros_like(params.hidden_weight))
    inputs = jnp.asarray([[0.1, 0.5, -1.0], [0.7, 0.0, 0.2], [-0.3, 0.4, 0.9]])
    candidates = jnp.tanh(inputs @ params.input_weight[2].T + params.input_bias[2][None])
    outputs, final = jattn.lstm(params, inputs)
    yield final.cell, candidates.sum(0)
    yield outputs, jnp.tanh(jnp.cumsum(candidates, 0))


@law
def both_biases_of_an_lstm_are_one():
    """lstm_cell: only the sum of the two biases matters."""
    params, state, inputs = lstm(0.1, 0.2, 0.3, 0.4)
    params = params._replace(hidden_bias=params.hidden_bias + 0.7)
    moved = params._replace(
        input_bias=params.input_bias + params.hidden_bias, hidden_bias=0 * params.hidden_bias
    )
    expected = jattn.lstm_cell(moved, state, inputs)
    yield jattn.lstm_cell(params, state, inputs).hidden, expected.hidden


@law
def zoneout_at_its_ends_is_the_cell_or_nothing():
    """zoneout: at rate 0 it is the cell, and at rate 1 the state stays, with or without draws."""
    params, state, inputs = lstm(0.0, 0.0, 0.0, 0.0)
    rng = jax.random.key(0)
    for rate, expected in ((0.0, jattn.lstm_cell(params, state, inputs)), (1.0, state)):
        cell = jattn.zoneout(jattn.lstm_cell, rate)
        yield tuple(cell(params, state, inputs)), tuple(expected)
        drawn = cell(params, jattn.ZoneoutState(state, rng), inputs)
        yield drawn.hidden, expected.hidden
