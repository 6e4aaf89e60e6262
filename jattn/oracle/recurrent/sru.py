"""The simple recurrent unit in NumPy, with its gradient derived by hand."""

from functools import partial

import numpy as np

from jattn.oracle.recurrent.stepwise import stepwise


def sru_cell(params, state, inputs, *, skip_scale=1.0):
    """Returns (state, pullback), as `jax.vjp` does. The old output has no gradient."""
    (output, new), pullback = _step(params, state.cell, inputs, skip_scale)

    def with_output(cotangent):
        d_params, d_cell, d_inputs = pullback(cotangent)
        return d_params, type(state)(np.zeros_like(d_cell), d_cell), d_inputs

    return type(state)(output, new), with_output


def sru(params, inputs, *, initial=None, length=None, valid=None, skip_scale=1.0):
    """Returns ((outputs, final), pullback), as `jax.vjp` does, one valid step at a time."""
    cell = partial(_step, skip_scale=skip_scale)
    return stepwise(cell, params, inputs, initial, length, valid)


def _step(params, cell, inputs, skip_scale):
    """Returns ((output, new), pullback) of one step.

    With u = W_0 x, f = σ(a), r = σ(b), the highway y, c' = f c + (1 - f) u, h = r c' + (1 - r) y:

        dc' += r dh              dr = (c' - y) dh        dy = (1 - r) dh
        df = (c - u) dc'         du = (1 - f) dc'        da = f (1 - f) df, db = r (1 - r) dr
        dc = f dc' + v_f da + v_r db                     dv = [c da; c db]    dbias = [da; db]
        dW = [du; da; db] xᵀ     dx = Σ Wᵀ [du; da; db] + α Sᵀ dy, or + α dy without a skip weight

    where y = α S x or α x, and so dS = α dy xᵀ.
    """
    weight, bias, state_weight, skip_weight = params
    through = np.zeros(bias.shape) if state_weight is None else state_weight
    mapped = [weight[part] @ inputs for part in range(3)]
    forget = 1 / (1 + np.exp(-(mapped[1] + through[0] * cell + bias[0])))
    reset = 1 / (1 + np.exp(-(mapped[2] + through[1] * cell + bias[1])))
    highway = skip_scale * (inputs if skip_weight is None else skip_weight @ inputs)
    new = forget * cell + (1 - forget) * mapped[0]

    def pullback(cotangents):
        d_output, d_new = cotangents
        d_new = d_new + reset * d_output
        d_forget = (cell - mapped[0]) * d_new * forget * (1 - forget)
        d_reset = (new - highway) * d_output * reset * (1 - reset)
        d_gates, d_highway = np.stack([d_forget, d_reset]), skip_scale * (1 - reset) * d_output
        d_mapped = np.stack([(1 - forget) * d_new, d_forget, d_reset])
        d_inputs = sum(d_mapped[part] @ weight[part] for part in range(3))
        d_inputs = d_inputs + (d_highway if skip_weight is None else d_highway @ skip_weight)
        d_params = type(params)(
            d_mapped[:, :, None] * inputs,
            d_gates,
            None if state_weight is None else d_gates * cell,
            None if skip_weight is None else np.outer(d_highway, inputs),
        )
        d_cell = forget * d_new + (through * d_gates).sum(0)
        return d_params, d_cell, d_inputs

    return (reset * new + (1 - reset) * highway, new), pullback
