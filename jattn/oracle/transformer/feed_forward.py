"""The feed-forward network in NumPy, one position at a time, with its gradient derived by hand."""

import numpy as np


def relu(inputs):
    """y = x where x > 0, so dx = dy there and 0 elsewhere; the sign is that of the real part."""
    positive = inputs.real > 0
    return np.where(positive, inputs, 0.0), lambda d_outputs: (np.where(positive, d_outputs, 0.0),)


def feed_forward(params, inputs, *, activation=relu):
    """Returns (outputs, pullback), as `jax.vjp` does.

    For one position, with z = W₁ x + b₁, a = activation(z) and y = W₂ a + b₂:

        dW₂ = dy aᵀ      db₂ = dy      da = W₂ᵀ dy      dz = pullback of da
        dW₁ = dz xᵀ      db₁ = dz      dx = W₁ᵀ dz

    and the gradients of the parameters are summed over the positions.
    """
    dtype = np.result_type(*(x for x in (*params, inputs) if x is not None))
    outputs, passes = np.zeros(inputs.shape, dtype), []
    for place, row in enumerate(inputs):
        hidden = params.hidden_weight @ row
        if params.hidden_bias is not None:
            hidden = hidden + params.hidden_bias
        active, active_pullback = activation(hidden)
        passes.append((active, active_pullback))
        outputs[place] = params.output_weight @ active
        if params.output_bias is not None:
            outputs[place] += params.output_bias

    def pullback(d_outputs):
        kind = np.result_type(dtype, d_outputs)
        d = type(params)(*(None if x is None else np.zeros(x.shape, kind) for x in params))
        d_inputs = np.zeros(inputs.shape, kind)
        for place, (active, active_pullback) in enumerate(passes):
            d_output = d_outputs[place]
            (d_hidden,) = active_pullback(params.output_weight.T @ d_output)
            for field, gradient in (
                (d.output_weight, np.outer(d_output, active)),
                (d.output_bias, d_output),
                (d.hidden_weight, np.outer(d_hidden, inputs[place])),
                (d.hidden_bias, d_hidden),
            ):
                if field is not None:
                    field += gradient
            d_inputs[place] = params.hidden_weight.T @ d_hidden
        return d, d_inputs

    return outputs, pullback
