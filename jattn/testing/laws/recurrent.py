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
