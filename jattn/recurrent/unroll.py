"""A GRU over a sequence, forwards or backwards, with padding anywhere."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jattn._axes import named_axes
from jattn._precision import at_least_float32
from jattn._varying import scan, varying_as
from jattn.recurrent.cells import Cell, GRUParams, gru_cell, reset_before_gru_cell
from jattn.recurrent.padding import check_steps, zero_padding
from jattn.recurrent.states import states
from jattn.recurrent.steps import Direction, Recurrent


class GRUOutput(NamedTuple):
    """The state after each step, and the last state."""

    outputs: Float[Array, "s n"]
    final: Float[Array, " n"]


@named_axes
@at_least_float32
def gru(
    params: GRUParams,
    inputs: Float[Array, "s i"],
    *,
    initial: Float[Array, " n"] | None = None,
    length: int | Int[Array, ""] | None = None,
    valid: Bool[Array, " s"] | None = None,
    reverse: bool = False,
    cell: Cell = gru_cell,
    hidden_scale: Float[Array, " n"] | None = None,
) -> GRUOutput:
    """Runs `cell` over a sequence; the state after one step is an input of the next.

        state[s] = cell(params, state[s - 1], inputs[s]),   state[-1] = initial

    A step that is not valid leaves the state and outputs zero, whatever its inputs hold. With no
    valid step, the final state is the initial one.

    Args:
        initial: the state before the first step, zero by default.
        length: number of valid steps, which come first; all steps by default. A traced length is
            not checked: a negative one acts as 0, and one that is too large as all steps.
        valid: True for each valid step, which may be any steps: padding may come first, or leave
            holes. Excludes `length`.
        reverse: steps from the last valid input to the first. `outputs[s]` is then the state
            after reading inputs s and later, and `final` is the state after all inputs.
        cell: `gru_cell`, `reset_before_gru_cell` or a function with their arguments. For these
            two, one product projects the inputs of several steps.
        hidden_scale: multiplies the hidden state where it enters the products, at every step, but
            not where the update gate keeps it. A mask drawn once by `dropout` makes this the
            recurrent dropout of Gal & Ghahramani (2016), arXiv:1512.05287.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, length is negative or
            more than the number of inputs, or both length and valid are given.
    """
    check_steps("gru", length, valid, "inputs", inputs)
    return directions(
        (params,),
        inputs,
        (initial,),
        (length, valid),
        (hidden_scale,),
        reverse=(reverse,),
        cell=cell,
    )[0]


Padding = tuple[int | Int[Array, ""] | None, Bool[Array, " s"] | None]


def directions(
    params: Sequence[GRUParams],
    inputs: Float[Array, "s i"],
    initial: Sequence[Float[Array, " n"] | None],
    padding: Padding,
    hidden_scale: Sequence[Float[Array, " n"] | None],
    *,
    reverse: tuple[bool, ...],
    cell: Cell,
) -> tuple[GRUOutput, ...]:
    """Returns the result of `gru` for each direction; `padding` is its length and valid steps."""
    initial = tuple(
        varying_as(
            jnp.zeros_like(weights.hidden_bias[0]) if state is None else state,
            (weights, inputs, padding, scale),
        )
        for weights, state, scale in zip(params, initial, hidden_scale, strict=True)
    )
    if cell is gru_cell or cell is reset_before_gru_cell:
        arguments = tuple(zip(params, initial, hidden_scale, strict=True))
        return _unroll(arguments, inputs, padding, cell is gru_cell, reverse)
    inputs, valid = zero_padding(inputs, *padding)

    def unroll(weights, initial, scale, reverse):
        # Scaling a unit before a product is scaling the column of weights that multiplies it.
        weights = weights if scale is None else _scale_columns(weights, scale)

        def step(hidden, row):
            inputs, valid = row
            new = cell(weights, hidden, inputs)
            if valid is None:
                return new, new
            return jnp.where(valid, new, hidden), jnp.where(valid, new, 0.0)

        final, outputs = scan(step, initial, (inputs, valid), reverse=reverse)
        return GRUOutput(outputs, final)

    return tuple(map(unroll, params, initial, hidden_scale, reverse))


# Compiled once, because every call outside of jit would compile its own scan.
@partial(jax.jit, static_argnums=(3, 4))
def _unroll(arguments, inputs, padding, resets_after, reverse):
    if inputs.shape[0] == 0:
        empty = lambda initial: jnp.zeros((0, *initial.shape), initial.dtype)
        return tuple(GRUOutput(empty(initial), initial) for _, initial, _ in arguments)
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
        return GRUOutput(outputs, final)

    after_steps = states(reverse, tuple(direction(*each) for each in arguments), inputs, valid)
    return tuple(map(finish, after_steps, reverse))


def _scale_columns(params: GRUParams, scale: Float[Array, " n"]) -> GRUParams:
    return params._replace(hidden_weight=params.hidden_weight * scale[None, None])
