"""A cell over a sequence in NumPy, one valid step at a time, with its gradient by hand."""

import numpy as np


def stepwise(cell, params, inputs, initial, length, valid):
    """Returns ((outputs, final), pullback) of a cell that has a state of one vector.

    `cell` returns ((output, new), pullback), and `initial` is the state before the first step or
    None. The state after a step reaches the loss through its output and through the next step.
    """
    units = params.bias.shape[1]
    given = [x for x in (*params, inputs, initial) if x is not None]
    dtype = np.result_type(*given)
    steps = range(len(inputs) if length is None else int(length))
    steps = [step for step in steps if valid is None or valid[step]]
    outputs = np.zeros((len(inputs), units), dtype)
    state = np.zeros(units, dtype) if initial is None else initial.astype(dtype)
    pullbacks = {}
    for step in steps:
        (outputs[step], state), pullbacks[step] = cell(params, state, inputs[step])

    def pullback(cotangent):
        d_outputs, d_state = cotangent
        kind = np.result_type(dtype, d_outputs, d_state)
        d_params = [None if x is None else np.zeros(x.shape, kind) for x in params]
        d_inputs = np.zeros(inputs.shape, kind)
        for step in reversed(steps):
            d_step, d_state, d_inputs[step] = pullbacks[step]((d_outputs[step], d_state))
            for total, part in zip(d_params, d_step, strict=True):
                if total is not None:
                    total += part
        start = () if initial is None else (d_state,)
        return type(params)(*d_params), d_inputs, *start

    return (outputs, state), pullback
