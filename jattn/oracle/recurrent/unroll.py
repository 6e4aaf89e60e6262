"""A GRU over a sequence in NumPy, one step at a time, with its gradient by hand."""

import numpy as np

from jattn.oracle.recurrent.cells import gru_cell


def gru(
    params,
    inputs,
    *,
    initial=None,
    length=None,
    valid=None,
    reverse=False,
    cell=gru_cell,
    hidden_scale=None,
):
    """Returns ((outputs, final), pullback), as `jax.vjp` does.

    Only valid steps are taken: the first `length` of them, or those where `valid` is True.
    Outputs of the others stay zero, and their inputs get no gradient.

    Back-propagation through time. The state after a step reaches the loss as an output and through
    the next step, so from the last step taken to the first:

        dstate ← dstate + doutputs[s]                dstate = dfinal before the last step
        dparams, dstate, dinputs[s] ← the cell's pullback of dstate (dparams summed over steps)

    and dinitial is the dstate that remains. Scaling the hidden state before the products scales
    the columns of the weights: U' = U diag(scale), so dU = dU' diag(scale) and
    dscale_m = Σ_gn dU'_gnm U_gnm.
    """
    arrays = [*params, inputs, *(x for x in (initial, hidden_scale) if x is not None)]
    dtype = np.result_type(*arrays)
    scaled = params
    if hidden_scale is not None:
        scaled = params._replace(hidden_weight=params.hidden_weight * hidden_scale)
    units = params.hidden_bias.shape[1]
    steps = list(range(len(inputs) if length is None else int(length)))
    if valid is not None:
        steps = [step for step in steps if valid[step]]
    if reverse:
        steps.reverse()
    outputs = np.zeros((len(inputs), units), dtype)
    final = np.zeros(units, dtype) if initial is None else initial.astype(dtype)
    pullbacks = {}
    for step in steps:
        final, pullbacks[step] = cell(scaled, final, inputs[step])
        outputs[step] = final

    def pullback(cotangent):
        d_outputs, d_state = cotangent
        kind = np.result_type(dtype, d_outputs, d_state)
        d_params = type(params)(*(np.zeros(array.shape, kind) for array in params))
        d_inputs = np.zeros(inputs.shape, kind)
        for step in reversed(steps):
            d_step, d_state, d_inputs[step] = pullbacks[step](d_state + d_outputs[step])
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
