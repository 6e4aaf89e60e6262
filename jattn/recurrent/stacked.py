"""Cells in layers, each reading the outputs of the one below, with dropout on both axes."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, Key

from jattn._axes import named_axes
from jattn._options import Count, Size, check_dropout
from jattn._precision import at_least_float32
from jattn.layers import dropout
from jattn.recurrent.bidirectional import (
    BidirectionalGRUParams,
    BidirectionalParams,
    bidirectional,
    bidirectional_gru,
    init_bidirectional,
)
from jattn.recurrent.cells import (
    Cell,
    GRUParams,
    InitCell,
    gru_cell,
    init_gru,
    reset_before_gru_cell,
)
from jattn.recurrent.gru import gru
from jattn.recurrent.outputs import output_of, zero_state
from jattn.recurrent.padding import check_steps
from jattn.recurrent.unroll import unroll

Layer = GRUParams | BidirectionalGRUParams
OF_GRUS = (GRUParams, BidirectionalGRUParams)
BOTH_WAYS = (BidirectionalParams, BidirectionalGRUParams)


class StackedOutput(NamedTuple):
    """The outputs of the last layer and the last state of every layer."""

    outputs: Float[Array, "s m"]
    final: tuple[Any, ...]


@named_axes
def init_stacked(
    rng: Key[Array, ""],
    *,
    init_cell: InitCell,
    input_size: Count,
    units: Count,
    layers: Size,
    bidirectional: bool = False,
    dtype: DTypeLike = float,
) -> tuple[Any, ...]:
    """Draws each layer by `init_cell`, or in both directions as `init_bidirectional` does.

    Args:
        init_cell: `init_gru`, `init_lstm` or a function like these.
        units: the size of each layer's state, in one direction.
        bidirectional: whether each layer reads in both directions.

    Raises:
        ValueError: if a size is negative, `layers` is not at least 1, or `dtype` is not a
            floating-point dtype.
    """
    init = partial(init_bidirectional, init_cell=init_cell) if bidirectional else init_cell
    sizes = [input_size] + [units * (2 if bidirectional else 1)] * (layers - 1)
    return tuple(
        init(key, input_size=size, units=units, dtype=dtype)
        for key, size in zip(jax.random.split(rng, layers), sizes, strict=True)
    )


@named_axes
def init_stacked_gru(
    rng: Key[Array, ""],
    *,
    input_size: Count,
    units: Count,
    layers: Size,
    bidirectional: bool = False,
    dtype: DTypeLike = float,
) -> tuple[Layer, ...]:
    """Draws each layer as `init_gru` or `init_bidirectional_gru` does.

    Args:
        units: the size of each layer's state, in one direction.
        bidirectional: whether each layer reads in both directions.

    Raises:
        ValueError: as `init_stacked` does.
    """
    return init_stacked(
        rng,
        init_cell=init_gru,
        input_size=input_size,
        units=units,
        layers=layers,
        bidirectional=bidirectional,
        dtype=dtype,
    )


@named_axes
@at_least_float32
def stacked(
    cell: Cell,
    layers: Sequence[Any],
    inputs: Float[Array, "s *i"],
    *,
    initial: Sequence[Any] | None = None,
    length: int | Int[Array, ""] | None = None,
    valid: Bool[Array, " s"] | None = None,
    dropout_rate: float = 0.0,
    recurrent_dropout_rate: float = 0.0,
    rng: Key[Array, ""] | None = None,
) -> StackedOutput:
    """Runs layers of any cell one on top of the other, as `stacked_gru` runs GRUs.

    Args:
        cell: as in `unroll`.
        layers: the parameters, first layer first. BidirectionalParams read in both directions.
        initial: one state for each layer, in the form of `final`; None is zero.
        length, valid, dropout_rate, rng: as in `stacked_gru`.
        recurrent_dropout_rate: as in `stacked_gru`, for parameters with a field `hidden_weight`.

    Raises:
        ValueError: as `unroll` and `stacked_gru` do.
    """
    rates = (dropout_rate, recurrent_dropout_rate)
    return _stacked("stacked", cell, layers, inputs, initial, (length, valid), rates, rng)


@named_axes
@at_least_float32
def stacked_gru(
    layers: Sequence[Layer],
    inputs: Float[Array, "s i"],
    *,
    initial: Sequence[Any] | None = None,
    length: int | Int[Array, ""] | None = None,
    valid: Bool[Array, " s"] | None = None,
    cell: Cell = gru_cell,
    dropout_rate: float = 0.0,
    recurrent_dropout_rate: float = 0.0,
    rng: Key[Array, ""] | None = None,
) -> StackedOutput:
    """Runs GRUs one on top of the other, each in one direction or in both.

    Args:
        layers: the parameters, first layer first; their type determines in how many directions
            each reads. A layer on top of a bidirectional one has twice its units as inputs.
        initial: one state for each layer, in the form of `final`; None is zero.
        length: number of valid steps, which come first; all steps by default, as in `gru`.
        valid: True for each valid step, as in `gru`. Excludes `length`.
        cell: as in `gru`.
        dropout_rate: share of each layer's outputs that is dropped before the next layer. Outputs
            of the last layer are not dropped.
        recurrent_dropout_rate: share of the hidden state that is dropped before the products of a
            layer's gates. The mask is drawn once for all time steps and all gates, and the state
            that the update gate keeps is whole: Gal & Ghahramani (2016), arXiv:1512.05287, with
            the weights that they call tied. Keras draws one mask for each gate.
        rng: the key that both are drawn from. Kept entries are divided by 1 - rate.

    Raises:
        ValueError: if two arguments disagree about the size of an axis or the number of layers,
            a layer has other parameters than a GRU's, length is negative or more than the number
            of inputs, both length and valid are given, a rate is not in [0, 1), or a rate above 0
            comes without rng.
    """
    _check_layers("stacked_gru", layers, OF_GRUS)
    rates = (dropout_rate, recurrent_dropout_rate)
    return _stacked("stacked_gru", cell, layers, inputs, initial, (length, valid), rates, rng)


def _stacked(function, cell, layers, inputs, initial, padding, rates, rng):
    length, valid = padding
    check_steps(function, length, valid, "inputs", inputs)
    check_dropout(function, "dropout_rate", rates[0], rng)
    check_dropout(function, "recurrent_dropout_rate", rates[1], rng)
    _check_layers(function, layers, ())
    starts = _initial_states(function, initial, len(layers))
    final: list[Any] = []
    for index, (layer, start) in enumerate(zip(layers, starts, strict=True)):
        layer_rng = None if rng is None else jax.random.fold_in(rng, index)
        below, hidden = (None, None) if layer_rng is None else jax.random.split(layer_rng)
        if index and rates[0]:
            inputs = dropout(below, inputs, rates[0])
        options = {"initial": start, "length": length, "valid": valid}
        try:
            if rates[1]:
                options["hidden_scale"] = dropout(hidden, _ones(function, layer), rates[1])
            inputs, last = _run_by(cell, layer)(layer, inputs, **options)
        except ValueError as error:
            complaint = str(error).partition(": ")[2]
            raise ValueError(f"{function}: layers[{index}]: {complaint}") from None
        final.append(last)
    return StackedOutput(inputs, tuple(final))


def _run_by(cell: Cell, layer: Any) -> Any:
    """Returns the function that runs a layer; functions of GRUs check sizes without a trace."""
    if (cell is gru_cell or cell is reset_before_gru_cell) and isinstance(layer, OF_GRUS):
        return partial(gru if isinstance(layer, GRUParams) else bidirectional_gru, cell=cell)
    return partial(bidirectional if isinstance(layer, BOTH_WAYS) else unroll, cell)


def _check_layers(function: str, layers: Any, kinds: tuple[type, ...]) -> None:
    if not isinstance(layers, list | tuple) or hasattr(layers, "_fields"):
        complaint = f"{function}: layers is a {type(layers).__name__}"
        raise ValueError(f"{complaint}, expected a tuple or a list of layers")
    for index, layer in enumerate(layers):
        if kinds and not isinstance(layer, kinds):
            complaint = f"{function}: layers[{index}] is a {type(layer).__name__}"
            raise ValueError(
                f"{complaint}, expected {' or '.join(kind.__name__ for kind in kinds)}"
            )


def _initial_states(function: str, initial: Any, layers: int) -> list[Any]:
    if initial is None:
        return [None] * layers
    if not hasattr(initial, "__len__"):
        complaint = f"{function}: initial is a {type(initial).__name__}"
        raise ValueError(f"{complaint}, expected a state for each layer")
    if len(initial) != layers:
        complaint = f"{function}: initial has {len(initial)} states"
        raise ValueError(f"{complaint}, expected {layers} (from layers)")
    return list(initial)


def _ones(function: str, layer: Any) -> Any:
    """Returns one for each unit of the layer's output, in a row for each direction."""
    ones = lambda params: jnp.ones_like(output_of(zero_state(function, params)))
    return jnp.stack([*map(ones, layer)]) if isinstance(layer, BOTH_WAYS) else ones(layer)
