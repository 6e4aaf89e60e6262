"""GRUs in layers, each reading the outputs of the one below, with dropout on both axes."""

from collections.abc import Sequence
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
    bidirectional_gru,
    init_bidirectional_gru,
)
from jattn.recurrent.cells import Cell, GRUParams, gru_cell, init_gru
from jattn.recurrent.padding import check_steps
from jattn.recurrent.unroll import gru

Layer = GRUParams | BidirectionalGRUParams
State = Float[Array, " n"] | Float[Array, "2 n"]


class StackedOutput(NamedTuple):
    """The outputs of the last layer and the last state of every layer."""

    outputs: Float[Array, "s m"]
    final: tuple[State, ...]


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
        ValueError: if a size is negative, `layers` is not at least 1, or `dtype` is not a
            floating-point dtype.
    """
    init = init_bidirectional_gru if bidirectional else init_gru
    sizes = [input_size] + [units * (2 if bidirectional else 1)] * (layers - 1)
    return tuple(
        init(key, input_size=size, units=units, dtype=dtype)
        for key, size in zip(jax.random.split(rng, layers), sizes, strict=True)
    )


@named_axes
@at_least_float32
def stacked_gru(
    layers: Sequence[Layer],
    inputs: Float[Array, "s i"],
    *,
    initial: Sequence[State | None] | None = None,
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
    check_steps("stacked_gru", length, valid, "inputs", inputs)
    check_dropout("stacked_gru", "dropout_rate", dropout_rate, rng)
    check_dropout("stacked_gru", "recurrent_dropout_rate", recurrent_dropout_rate, rng)
    _check_layers(layers)
    starts = _initial_states(initial, len(layers))
    final: list[Any] = []
    for index, (layer, start) in enumerate(zip(layers, starts, strict=True)):
        layer_rng = None if rng is None else jax.random.fold_in(rng, index)
        below, hidden = (None, None) if layer_rng is None else jax.random.split(layer_rng)
        if index and dropout_rate:
            inputs = dropout(below, inputs, dropout_rate)
        scale = None
        if recurrent_dropout_rate:
            scale = dropout(hidden, _ones(layer), recurrent_dropout_rate)
        options = {"initial": start, "length": length, "valid": valid, "cell": cell}
        both = isinstance(layer, BidirectionalGRUParams)
        run: Any = bidirectional_gru if both else gru
        try:
            inputs, last = run(layer, inputs, hidden_scale=scale, **options)
        except ValueError as error:
            complaint = str(error).partition(": ")[2]
            raise ValueError(f"stacked_gru: layers[{index}]: {complaint}") from None
        final.append(last)
    return StackedOutput(inputs, tuple(final))


def _check_layers(layers: Any) -> None:
    kinds = (GRUParams, BidirectionalGRUParams)
    if not isinstance(layers, list | tuple) or isinstance(layers, kinds):
        complaint = f"stacked_gru: layers is a {type(layers).__name__}"
        raise ValueError(f"{complaint}, expected a tuple or a list of layers")
    for index, layer in enumerate(layers):
        if not isinstance(layer, kinds):
            complaint = f"stacked_gru: layers[{index}] is a {type(layer).__name__}"
            raise ValueError(
                f"{complaint}, expected {' or '.join(kind.__name__ for kind in kinds)}"
            )


def _initial_states(initial: Any, layers: int) -> list[Any]:
    if initial is None:
        return [None] * layers
    if not hasattr(initial, "__len__"):
        complaint = f"stacked_gru: initial is a {type(initial).__name__}"
        raise ValueError(f"{complaint}, expected a state for each layer")
    if len(initial) != layers:
        complaint = f"stacked_gru: initial has {len(initial)} states"
        raise ValueError(f"{complaint}, expected {layers} (from layers)")
    return list(initial)


def _ones(layer: Layer) -> State:
    """Returns one for each unit of the layer's state."""
    if isinstance(layer, BidirectionalGRUParams):
        return jnp.stack([jnp.ones_like(params.hidden_bias[0]) for params in layer])
    return jnp.ones_like(layer.hidden_bias[0])
