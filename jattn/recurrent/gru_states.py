"""The states of both reset conventions after all steps, from the parameters of each direction."""

from functools import partial

import jax
import jax.numpy as jnp

from jattn.recurrent.padding import zero_padding
from jattn.recurrent.states import states
from jattn.recurrent.steps import Direction, Recurrent


# Compiled once, because every call outside of jit would compile its own scan.
@partial(jax.jit, static_argnums=(3, 4))
def gru_states(arguments, inputs, padding, resets_after, reverse):
    """Returns outputs and final state of each direction.

    Args:
        arguments: parameters, initial state and scale of the hidden state of each direction.
        padding: the length and the valid steps.
        resets_after: True for `gru_cell`, False for `reset_before_gru_cell`.
        reverse: for each direction, whether it steps from the last input to the first.
    """
    if inputs.shape[0] == 0:
        empty = lambda initial: jnp.zeros((0, *initial.shape), initial.dtype)
        return tuple((empty(initial), initial) for _, initial, _ in arguments)
    inputs, valid = zero_padding(inputs, *padding)

    def direction(params, initial, scale):
        by_row = lambda weight: weight.reshape(3 * len(initial), weight.shape[-1])
        biases = params.input_bias + params.hidden_bias
        candidate_bias = None
        if resets_after:
            biases = jnp.stack([*biases[:2], params.input_bias[2]])
            candidate_bias = params.hidden_bias[2]
        weight = by_row(params.hidden_weight)
        recurrent = Recurrent(weight, weight.T, biases, candidate_bias, scale)
        return Direction(recurrent, by_row(params.input_weight), initial)

    def finish(outputs, reverse):
        final = outputs[0 if reverse else -1]
        if valid is not None:
            outputs = jnp.where(valid[:, None], outputs, 0.0)
        return outputs, final

    after_steps = states(reverse, tuple(direction(*each) for each in arguments), inputs, valid)
    return tuple(map(finish, after_steps, reverse))
