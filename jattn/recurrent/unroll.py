"""A GRU over a sequence, forwards or backwards, with padding."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jattn._axes import named_axes
from jattn._options import check_length
from jattn._precision import at_least_float32
from jattn._varying import scan, varying_as
from jattn.recurrent.cells import Cell, GRUParams, gru_cell, reset_before_gru_cell
from jattn.recurrent.states import states
from jattn.recurrent.steps import Direction, Recurrent


class GRUOutput(NamedTuple):
    """The state after each step, and the last one."""

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
    reverse: bool = False,
    cell: Cell = gru_cell,
    hidden_scale: Float[Array, " n"] | None = None,
) -> GRUOutput:
    """Runs `cell` over a sequence, the state of one step being the input of the next.

        state[s] = cell(params, state[s - 1], inputs[s]),   state[-1] = initial

    Inputs past `length` are never looked at, whatever they hold; their outputs are zero. With no
    step to take (`length` 0 or no inputs) the final state is the initial one.

    Args:
        initial: the state before the first step, zero by default.
        length: number of valid steps, all of them by default. A traced length is not checked: a
            negative one acts as 0, one that is too large as all.
        reverse: steps from the last valid input to the first. `outputs[s]` is then the state
            after reading inputs s and later, and `final` is `outputs[0]`.
        cell: `gru_cell`, `reset_before_gru_cell` or a function with their arguments. The two get
            all input projections from one product.
        hidden_scale: multiplies the hidden state where it enters the products, at every step, but
            not where the update gate keeps it. A mask drawn once by `dropout` makes this the
            recurrent dropout of Gal & Ghahramani (2016), arXiv:1512.05287.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or length is negative or
            more than the number of inputs.
    """
    check_length("gru: length", length, len(inputs), "s")
    return directions(
        (params,), inputs, (initial,), length, (hidden_scale,), reverse=(reverse,), cell=cell
    )[0]


def directions(
    params: Sequence[GRUParams],
    inputs: Float[Array, "s i"],
    initial: Sequence[Float[Array, " n"] | None],
    length: int | Int[Array, ""] | None,
    hidden_scale: Sequence[Float[Array, " n"] | None],
    *,
    reverse: tuple[bool, ...],
    cell: Cell,
) -> tuple[GRUOutput, ...]:
    """What `gru` gives for each direction that reads the inputs."""
    initial = tuple(
        varying_as(
            jnp.zeros_like(own.hidden_bias[0]) if start is None else start,
            (own, inputs, length, scale),
        )
        for own, start, scale in zip(params, initial, hidden_scale, strict=True)
    )
    if cell is gru_cell or cell is reset_before_gru_cell:
        resets_after = cell is gru_cell
        each = tuple(zip(params, initial, hidden_scale, strict=True))
        return _unroll(each, inputs, length, resets_after, reverse)
    inputs, valid = zero_padding(inputs, length)

    def unroll(own, initial, scale, reverse):
        # Scaling a unit before a product is scaling the column of weights that meets it.
        own = own if scale is None else _scale_columns(own, scale)

        def step(hidden, here):
            inputs, valid = here
            new = cell(own, hidden, inputs)
            if valid is None:
                return new, new
            return jnp.where(valid, new, hidden), jnp.where(valid, new, 0.0)

        final, outputs = scan(step, initial, (inputs, valid), reverse=reverse)
        return GRUOutput(outputs, final)

    return tuple(map(unroll, params, initial, hidden_scale, reverse))


# Compiled, or each call outside of jit would compile its own scan.
@partial(jax.jit, static_argnums=(3, 4))
def _unroll(each, inputs, length, resets_after, reverse):
    if not len(inputs):
        empty = lambda initial: jnp.zeros((0, *initial.shape), initial.dtype)
        return tuple(GRUOutput(empty(initial), initial) for _, initial, _ in each)
    inputs, valid = zero_padding(inputs, length)

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

    every = states(reverse, tuple(direction(*own) for own in each), inputs, valid)
    return tuple(map(finish, every, reverse))


def zero_padding(inputs, length):
    """The inputs, zero past `length`, and which of them are valid; None if all are."""
    if length is None:
        return inputs, None
    valid = jnp.arange(len(inputs)) < jnp.asarray(length).astype(int)
    return jnp.where(valid[:, None], inputs, 0.0), valid


def _scale_columns(params: GRUParams, scale: Float[Array, " n"]) -> GRUParams:
    return params._replace(hidden_weight=params.hidden_weight * scale[None, None])
