"""The simple recurrent unit: Lei et al. (2018), arXiv:1709.02755, version 5."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jattn._axes import named_axes
from jattn._precision import at_least_float32
from jattn._varying import scan
from jattn.recurrent.linear_steps import ScannedOutput, linear_steps, valid_outputs
from jattn.recurrent.padding import check_steps, zero_padding
from jattn.recurrent.sru_params import SRUParams, SRUState


@named_axes
@at_least_float32
def sru_cell(
    params: SRUParams, state: SRUState, inputs: Float[Array, " i"], *, skip_scale: float = 1.0
) -> SRUState:
    """Computes one step of a unit whose gates read the state by unit, and whose output skips it.

        forget = sigmoid(input_weight[1] inputs + state_weight[0] ∘ cell + bias[0])
        reset  = sigmoid(input_weight[2] inputs + state_weight[1] ∘ cell + bias[1])
        new    = forget ∘ cell + (1 - forget) ∘ (input_weight[0] inputs)
        hidden = reset ∘ new + (1 - reset) ∘ skip_scale inputs

    Both gates read the state before the step. The paper names these f_t, r_t, c_t, h_t, v and, for
    `skip_scale`, α. With `skip_weight`, the highway is `skip_weight inputs`. The paper's first
    version has no `state_weight`, and tanh(new) in the highway.

    Args:
        state: of which the cell is read alone.
        skip_scale: multiplies the highway's input; √3 in the paper if biases start at zero.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or inputs have another
            size than units and there is no `skip_weight`.
    """
    mapped, skip = _of_inputs("sru_cell", params, inputs[None], skip_scale)
    return _step(params, state.cell, mapped[:, 0], skip[0])


@named_axes
@at_least_float32
def sru(
    params: SRUParams,
    inputs: Float[Array, "s i"],
    *,
    initial: Float[Array, " n"] | None = None,
    length: int | Int[Array, ""] | None = None,
    valid: Bool[Array, " s"] | None = None,
    skip_scale: float = 1.0,
) -> ScannedOutput:
    """Runs `sru_cell` over a sequence; its products are one product over all steps.

    With `state_weight`, the steps that remain are by unit. Without it, they are an associative
    scan. Operations: s n i.

        >>> params = SRUParams(jnp.array([[[1.0]], [[0.0]], [[0.0]]]), jnp.zeros((2, 1)))
        >>> print(sru(params, jnp.ones((3, 1))).outputs[:, 0])
        [0.75   0.875  0.9375]

    Args:
        initial: the cell's state before the first step, zero by default; `final` is of this kind.
        length: number of valid steps, which come first; all steps by default, as in `gru`.
        valid: True for each valid step, as in `gru`. Excludes `length`.
        skip_scale: as in `sru_cell`.

    Raises:
        ValueError: as `sru_cell` does, or if length is negative or more than the number of inputs,
            or both length and valid are given.
    """
    check_steps("sru", length, valid, "inputs", inputs)
    inputs, usable = zero_padding(inputs, length, valid)
    mapped, skip = _of_inputs("sru", params, inputs, skip_scale)
    start = jnp.zeros_like(params.bias[0]) if initial is None else initial
    if params.state_weight is None:
        forget, reset = jax.nn.sigmoid(mapped[1:] + params.bias[:, None])
        cells, final = linear_steps(start, forget, (1.0 - forget) * mapped[0], usable)
        outputs = reset * cells + (1.0 - reset) * skip
        return ScannedOutput(valid_outputs(outputs, usable), final)

    def step(cell, row):
        mapped, skip, usable = row
        new = _step(params, cell, mapped, skip)
        return new.cell if usable is None else jnp.where(usable, new.cell, cell), new.hidden

    final, outputs = scan(step, start, (jnp.swapaxes(mapped, 0, 1), skip, usable))
    return ScannedOutput(valid_outputs(outputs, usable), final)


def _of_inputs(function, params, inputs, skip_scale):
    """Returns the parts of candidate and gates that depend on the inputs, and the highway."""
    sizes = inputs.shape[1], params.bias.shape[1]
    if params.skip_weight is None and sizes[0] != sizes[1]:
        expected = f"an array for {sizes[0]} inputs (i) and {sizes[1]} units (n)"
        raise ValueError(f"{function}: params.skip_weight is None, expected {expected}")
    mapped = jnp.einsum("si,gni->gsn", inputs, params.input_weight)
    weight = params.skip_weight
    return mapped, skip_scale * (
        inputs if weight is None else jnp.einsum("si,ni->sn", inputs, weight)
    )


def _step(params, cell, mapped, skip):
    gates = mapped[1:] + params.bias
    if params.state_weight is not None:
        gates = gates + params.state_weight * cell[None]
    forget, reset = jax.nn.sigmoid(gates)
    new = forget * cell + (1.0 - forget) * mapped[0]
    return SRUState(reset * new + (1.0 - reset) * skip, new)
