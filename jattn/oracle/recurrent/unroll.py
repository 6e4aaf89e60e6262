"""Any cell over a sequence in NumPy, one step at a time, with its gradient by hand."""

from typing import NamedTuple

import numpy as np


def unroll(
    cell,
    params,
    inputs,
    *,
    initial=None,
    length=None,
    valid=None,
    reverse=False,
    hidden_scale=None,
):
    """Returns ((outputs, final), pullback), as `jax.vjp` does.

    Only valid steps are taken: the first `length` of them, or those where `valid` is True.
    Outputs of the others stay zero, and their inputs get no gradient.

    Back-propagation through time. The state after a step reaches the loss by its output and through
    the next step, so from the last step taken to the first:

        dstate ← dstate, plus doutputs[s] in its output      dstate = dfinal before the last step
        dparams, dstate, dinputs[s] ← the cell's pullback of dstate (dparams summed over steps)

    and dinitial is the dstate that remains. Scaling the hidden state before the products scales
    the columns of the weights: U' = U diag(scale), so dU = dU' diag(scale) and
    dscale_m = Σ_gn dU'_gnm U_gnm.
    """
    state = initial_state(params) if initial is None else initial
    arrays = [*params, inputs, *parts(state), *([] if hidden_scale is None else [hidden_scale])]
    dtype = np.result_type(*arrays)
    scaled = params
    if hidden_scale is not None:
        scaled = params._replace(hidden_weight=params.hidden_weight * hidden_scale)
    steps = list(range(len(inputs) if length is None else int(length)))
    if valid is not None:
        steps = [step for step in steps if valid[step]]
    if reverse:
        steps.reverse()
    final = each(lambda part: part.astype(dtype), state)
    outputs = np.zeros((len(inputs), *parts(state)[0].shape), dtype)
    pullbacks = {}
    for step in steps:
        final, pullbacks[step] = cell(scaled, final, inputs[step])
        outputs[step] = parts(final)[0]

    def pullback(cotangent):
        d_outputs, d_state = cotangent
        kind = np.result_type(dtype, d_outputs, *parts(d_state))
        d_params = type(params)(*(np.zeros(array.shape, kind) for array in params))
        d_inputs = np.zeros(inputs.shape, kind)
        for step in reversed(steps):
            d_output, *others = parts(d_state)
            d_state = joined(state, [d_output + d_outputs[step], *others])
            d_step, d_state, d_inputs[step] = pullbacks[step](d_state)
            for total, part in zip(d_params, d_step, strict=True):
                total += part
        gradients = [d_params, d_inputs]
        if initial is not None:
            gradients.append(d_state)
        if hidden_scale is not None:
            d_weight = d_params.hidden_weight
            gradients[0] = d_params._replace(hidden_weight=d_weight * hidden_scale)
            gradients.append((d_weight * params.hidden_weight).sum((0, 1)))
        return tuple(gradients)

    return (outputs, final), pullback


def initial_state(params):
    """Returns the state of zeros, one part for a GRU and two for an LSTM."""
    zeros = np.zeros_like(params.hidden_bias[0])
    return State(zeros, zeros) if len(params.hidden_bias) == 4 else zeros


class State(NamedTuple):
    """A state of two arrays, of which the first is the output."""

    hidden: np.ndarray
    cell: np.ndarray


def parts(state):
    """Returns the arrays of a state, the output first."""
    return list(state) if isinstance(state, tuple) else [state]


def joined(like, arrays):
    """Returns a state of the form of `like` with other arrays."""
    return type(like)(*arrays) if isinstance(like, tuple) else arrays[0]


def each(function, state):
    return joined(state, [function(part) for part in parts(state)])
