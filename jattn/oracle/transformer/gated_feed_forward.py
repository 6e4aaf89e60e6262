"""The gated network in NumPy, one position at a time, with its gradient derived by hand."""

import numpy as np


def silu(inputs):
    """y = x σ(x) with σ = 1 / (1 + exp(-x)), so dx = dy (σ + x σ (1 - σ))."""
    share = 1.0 / (1.0 + np.exp(-inputs))
    slope = share + inputs * share * (1.0 - share)
    return inputs * share, lambda d_outputs: (d_outputs * slope,)


def gated_feed_forward(params, inputs, *, activation=silu):
    """Returns (outputs, pullback), as `jax.vjp` does.

    For one position, with z = W x, a = activation(z), v = V x, h = a ∘ v and y = W₂ h:

        dW₂ = dy hᵀ      dh = W₂ᵀ dy      da = dh ∘ v      dv = dh ∘ a      dz = pullback of da
        dW = dz xᵀ       dV = dv xᵀ       dx = Wᵀ dz + Vᵀ dv

    and the gradients of the weights are summed over the positions.
    """
    dtype = np.result_type(*params, inputs)
    outputs, passes = np.zeros(inputs.shape, dtype), []
    for place, row in enumerate(inputs):
        gates, gates_pullback = activation(params.gate_weight @ row)
        linear = params.hidden_weight @ row
        passes.append((gates, gates_pullback, linear))
        outputs[place] = params.output_weight @ (gates * linear)

    def pullback(d_outputs):
        kind = np.result_type(dtype, d_outputs)
        d = type(params)(*(np.zeros(x.shape, kind) for x in params))
        d_inputs = np.zeros(inputs.shape, kind)
        for place, (gates, gates_pullback, linear) in enumerate(passes):
            d_hidden = params.output_weight.T @ d_outputs[place]
            (d_gates,) = gates_pullback(d_hidden * linear)
            d_linear = d_hidden * gates
            d.output_weight[...] += np.outer(d_outputs[place], gates * linear)
            d.gate_weight[...] += np.outer(d_gates, inputs[place])
            d.hidden_weight[...] += np.outer(d_linear, inputs[place])
            d_inputs[place] = params.gate_weight.T @ d_gates + params.hidden_weight.T @ d_linear
        return d, d_inputs

    return outputs, pullback
