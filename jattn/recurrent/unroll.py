"""Any cell over a sequence, forwards or backwards, with padding anywhere."""

from collections.abc import Sequence
from functools import partial
from types import FunctionType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jattn._axes import named_axes
from jattn._precision import at_least_float32
from jattn._varying import scan, varying_as
from jattn.recurrent.cells import Cell, gru_cell, reset_before_gru_cell
from jattn.recurrent.gru_states import gru_states
from jattn.recurrent.outputs import output_of, zero_state
from jattn.recurrent.padding import check_steps, zero_padding


class Unrolled(NamedTuple):
    """The output of the state after each step, and the last state."""

    outputs: Float[Array, "s n"]
    final: Any


@named_axes
@at_least_float32
def unroll(
    cell: Cell,
    params: Any,
    inputs: Float[Array, "s *i"],
    *,
    initial: Any = None,
    length: int | Int[Array, ""] | None = None,
    valid: Bool[Array, " s"] | None = None,
    reverse: bool = False,
    hidden_scale: Float[Array, " n"] | None = None,
) -> Unrolled:
    """Runs any cell over a sequence; the state after one step is an input of the next.

        state[s] = cell(params, state[s - 1], inputs[s]),   state[-1] = initial

    A state is an array or a NamedTuple of arrays. Its output is its field `hidden`; a state without
    one is its own output. A step that is not valid leaves the state and outputs zero.

    Args:
        cell: a function of parameters, state and inputs that returns the next state, such as
            `lstm_cell`. A function that a module defines is compiled once.
        initial: the state before the first step, `params.zero_state()` by default.
        length, valid, reverse: as in `gru`.
        hidden_scale: as in `gru`, for parameters with a field `hidden_weight`: scales the last
            axis of this weight.

    Raises:
        ValueError: if the cell returns a state of another form than its own, `initial` is None and
            `params` has no method `zero_state`, and as `gru` does.

    Examples:
        >>> import jax, jattn
        >>> params = jattn.init_lstm(jax.random.key(0), input_size=3, units=2)
        >>> outputs, final = jattn.unroll(jattn.lstm_cell, params, jax.numpy.ones((5, 3)))
        >>> outputs.shape, type(final).__name__
        ((5, 2), 'LSTMState')
    """
    check_steps("unroll", length, valid, "inputs", inputs)
    return directions(
        "unroll",
        cell,
        (params,),
        inputs,
        (initial,),
        (length, valid),
        (hidden_scale,),
        reverse=(reverse,),
        known=False,
    )[0]


Padding = tuple[int | Int[Array, ""] | None, Bool[Array, " s"] | None]


def directions(
    function: str,
    cell: Cell,
    params: Sequence[Any],
    inputs: Float[Array, "s *i"],
    initial: Sequence[Any],
    padding: Padding,
    hidden_scale: Sequence[Float[Array, " n"] | None],
    *,
    reverse: tuple[bool, ...],
    known: bool = True,
) -> tuple[Unrolled, ...]:
    """Returns the result of `unroll` for each direction; `padding` is its length and valid steps.

    Args:
        function: the public function's name, for error messages.
        known: whether it is known that the cell returns a state of the form of its own.
    """
    initial = tuple(
        varying_as(
            zero_state(function, weights) if state is None else state,
            (weights, inputs, padding, scale),
        )
        for weights, state, scale in zip(params, initial, hidden_scale, strict=True)
    )
    if not known:
        for weights, state in zip(params, initial, strict=True):
            _check_cell(function, cell, weights, state, inputs)
    if cell is gru_cell or cell is reset_before_gru_cell:
        arguments = tuple(zip(params, initial, hidden_scale, strict=True))
        both = gru_states(arguments, inputs, padding, cell is gru_cell, reverse)
        return tuple(Unrolled(*each) for each in both)
    # Scaling a unit before a product is scaling the column of weights that multiplies it.
    params = [
        weights if scale is None else _scale_columns(function, weights, scale)
        for weights, scale in zip(params, hidden_scale, strict=True)
    ]
    # A function inside another may read traced values of its surroundings.
    of_module = isinstance(cell, FunctionType) and "<" not in cell.__qualname__
    run = _steps_compiled_once if of_module else _steps
    return tuple(map(partial(run, cell, inputs, padding), reverse, params, initial))


def _steps(cell, inputs, padding, reverse, params, initial):
    inputs, valid = zero_padding(inputs, *padding)

    def step(state, row):
        inputs, valid = row
        new = cell(params, state, inputs)
        if valid is None:
            return new, output_of(new)
        kept = jax.tree.map(lambda new, old: jnp.where(valid, new, old), new, state)
        return kept, jnp.where(valid, output_of(new), 0.0)

    final, outputs = scan(step, initial, (inputs, valid), reverse=reverse)
    return Unrolled(outputs, final)


# Every call outside of jit would compile its own scan.
_steps_compiled_once = jax.jit(_steps, static_argnums=(0, 3))


def _check_cell(function: str, cell: Cell, params: Any, state: Any, inputs: Any) -> None:
    """Raises ValueError unless the cell returns a state of the form of its own."""
    one = lambda params, state, inputs: cell(params, state, inputs.sum(0))
    form = lambda tree: jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), tree)
    before, after = form(state), form(jax.eval_shape(one, params, state, inputs))
    if before != after:
        raise ValueError(f"{function}: cell returns {after}, expected {before}, as its state")


def _scale_columns(function: str, params: Any, scale: Float[Array, " n"]) -> Any:
    if not hasattr(params, "hidden_weight"):
        kind = type(params).__name__
        raise ValueError(f"{function}: {kind} has no hidden_weight, expected one to scale")
    weight = params.hidden_weight
    scale = jnp.expand_dims(scale, tuple(range(weight.ndim - 1)))
    return params._replace(hidden_weight=weight * scale)
