"""GRUs in layers, each reading the outputs of the one before, with dropout on both axes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from jattn._axes import named_axes
from jattn._options import Count, Size, check_dropout, check_length
from jattn._precision import at_least_float32
from jattn.layers import dropout
from jattn.recurrent.bidirectional import (
    BidirectionalGRUParams,
    bidirectional_gru,
    init_bidirectional_gru,
)
from jattn.recurrent.cells import Cell, GRUParams, gru_cell, init_gru
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
    """Draws each layer as `init_gru` or `init_bidirectional_gru` does."""
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
    cell: Cell = gru_cell,
    dropout_rate: float = 0.0,
    recurrent_dropout_rate: float = 0.0,
    rng: Key[Array, ""] | None = None,
) -> StackedOutput:
    """Runs GRUs one on top of the other, each in one direction or in both.

    Args:
        layers: the parameters, first layer first; their type says in how many directions each
            reads. A layer on top of a bidirectional one takes twice its units as inputs.
        initial: one state for each layer, in the form of `final`; None is zero.
        length: number of valid steps, all of them by default, as in `gru`.
        cell: as in `gru`.
        dropout_rate: share of each layer's outputs that the next layer does not see. Those of the
            last layer are whole.
        recurrent_dropout_rate: share of the hidden state that the products of a layer's gates do
            not see. The mask is drawn once and serves all time steps and all gates, and the state
            that the update gate keeps is whole: Gal & Ghahramani (2016), arXiv:1512.05287, with
            the weights that they call tied. Keras draws one mask a gate.
        rng: what both are drawn from. What is kept is divided by 1 - rate.

    Raises:
        ValueError: if two arguments disagree about the size of an axis or the number of layers,
            length is negative or more than the number of inputs, a rate is not in [0, 1), or a
            rate above 0 comes without rng.
    """
    check_length("stacked_gru: length", length, len(inputs), "s")
    check_dropout("stacked_gru", "dropout_rate", dropout_rate, rng)
    check_dropout("stacked_gru", "recurrent_dropout_rate", recurrent_dropout_rate, rng)
    starts = [None] * len(layers) if initial is None else list(initial)
    if len(starts) != len(layers):
        raise ValueError(
            f"stacked_gru: initial has {len(starts)} states, expected {len(layers)} (from layers)"
        )
    final: list[Any] = []
    for index, (layer, start) in enumerate(zip(layers, starts, strict=True)):
        own_rng = None if rng is None else jax.random.fold_in(rng, index)
        below, hidden = (None, None) if own_rng is None else jax.random.split(own_rng)
        if index and dropout_rate:
            inputs = dropout(below, inputs, dropout_rate)
        scale = None
        if recurrent_dropout_rate:
            scale = dropout(hidden, _ones(layer), recurrent_dropout_rate)
        options = {"initial": start, "length": length, "cell": cell, "hidden_scale": scale}
        try:
            if isinstance(layer, BidirectionalGRUParams):
                inputs, last = bidirectional_gru(layer, inputs, **options)
            else:
                inputs, last = gru(layer, inputs, **options)
        except ValueError as error:
            complaint = str(error).partition(": ")[2]
            raise ValueError(f"stacked_gru: layers[{index}]: {complaint}") from None
        final.append(last)
    return StackedOutput(inputs, tuple(final))


def _ones(layer: Layer) -> State:
    """One for each unit of the layer's state."""
    if isinstance(layer, BidirectionalGRUParams):
        return jnp.stack([jnp.ones_like(params.hidden_bias[0]) for params in layer])
    return jnp.ones_like(layer.hidden_bias[0])
