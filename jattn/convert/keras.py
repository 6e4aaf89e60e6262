"""Conversion to and from Keras: GRU, Bidirectional, MultiHeadAttention, GroupQueryAttention."""

from collections.abc import Sequence

import numpy as np

from jattn.attention.multi_head import MultiHeadParams
from jattn.convert import heads as of_heads
from jattn.convert.gates import (
    bidirectional_arrays,
    check_cell,
    check_layers,
    gru_arrays,
    joined,
    one_bias,
    parted,
    read_layers,
    sides,
)
from jattn.convert.named import Sizes, Weights, nested, taken
from jattn.recurrent.bidirectional import BidirectionalGRUParams
from jattn.recurrent.cells import Cell, GRUParams, gru_cell, reset_before_gru_cell
from jattn.recurrent.stacked import Layer

ORDER = "zrn"
WAYS = ("forward_layer", "backward_layer")
PARTS = ("query", "key", "value", "attention_output")


def gru_to_keras(params: GRUParams, *, cell: Cell = gru_cell) -> Weights:
    """Returns `kernel`, `recurrent_kernel` and `bias`, in the order of `layer.get_weights()`.

    For `gru_cell` the layer needs reset_after=True, and `bias` holds two biases. For
    `reset_before_gru_cell` it needs reset_after=False, and `bias` is the sum of both.
    """
    return _to("gru_to_keras", params, cell)


def gru_from_keras(weights: Weights, *, cell: Cell = gru_cell) -> GRUParams:
    """Returns the parameters of a keras.layers.GRU; the inverse of `gru_to_keras`.

    A single bias becomes the input's, with a hidden bias of zero. Missing biases become zero.

    Raises:
        ValueError: if the biases belong to the other value of `reset_after` than `cell` needs.
    """
    return _from("gru_from_keras", weights, cell)


def bidirectional_gru_to_keras(params: BidirectionalGRUParams, *, cell: Cell = gru_cell) -> Weights:
    """Returns the dicts of `gru_to_keras` under `forward_layer` and `backward_layer`."""
    name = "bidirectional_gru_to_keras"
    both = bidirectional_arrays(name, params)
    return {way: _to(name, params, cell) for way, params in zip(WAYS, both, strict=True)}


def bidirectional_gru_from_keras(
    weights: Weights, *, cell: Cell = gru_cell
) -> BidirectionalGRUParams:
    """Returns the parameters of a Bidirectional(GRU); inverse of `bidirectional_gru_to_keras`."""
    name = "bidirectional_gru_from_keras"
    return sides(name, weights, WAYS, lambda part: _from(name, part, cell))


def stacked_gru_to_keras(layers: Sequence[Layer], *, cell: Cell = gru_cell) -> list[Weights]:
    """Returns the dict of each layer, in order, for a stack of GRU or Bidirectional(GRU) layers.

    Raises:
        ValueError: if `layers` is empty, or a layer's input size is not the size of its input.
    """
    name = "stacked_gru_to_keras"
    check_layers(name, layers)
    return [
        bidirectional_gru_to_keras(layer, cell=cell)
        if isinstance(layer, BidirectionalGRUParams)
        else _to(name, layer, cell)
        for layer in layers
    ]


def stacked_gru_from_keras(
    weights: Sequence[Weights], *, cell: Cell = gru_cell
) -> tuple[Layer, ...]:
    """Returns the layers of a stack of GRU or Bidirectional(GRU), from a dict for each, in order.

    Raises:
        ValueError: if a dict is not one of `gru_to_keras` or `bidirectional_gru_to_keras`, or a
            layer's input size is not the size of its input.
    """
    name = "stacked_gru_from_keras"
    return read_layers(
        name,
        weights,
        lambda part: (
            sides(name, part, WAYS, lambda way: _from(name, way, cell))
            if WAYS[0] in part
            else _from(name, part, cell)
        ),
    )


def _to(function: str, params: GRUParams, cell: Cell) -> Weights:
    check_cell(function, cell, gru_cell, reset_before_gru_cell, library="keras.layers.GRU")
    params = gru_arrays(function, params)
    both = np.stack([joined(params.input_bias, ORDER), joined(params.hidden_bias, ORDER)])
    return nested(
        {
            "kernel": joined(params.input_weight, ORDER).T,
            "recurrent_kernel": joined(params.hidden_weight, ORDER).T,
            "bias": both if cell is gru_cell else joined(one_bias(params, 3), ORDER),
        }
    )


def _from(function: str, weights: Weights, cell: Cell) -> GRUParams:
    check_cell(function, cell, gru_cell, reset_before_gru_cell, library="keras.layers.GRU")
    sizes: Sizes = {}
    bias = "2 3*n" if cell is gru_cell else "3*n"
    axes = {"kernel": "i 3*n", "recurrent_kernel": "n 3*n", "bias": bias}
    found = taken(function, weights, axes, optional=["bias"], sizes=sizes)
    zeros = np.zeros(3 * sizes["n"], found["kernel"].dtype)
    given = found.get("bias", zeros)
    biases = given if given.ndim == 2 else (given, zeros)
    return GRUParams(
        parted(found["kernel"].T, ORDER),
        parted(found["recurrent_kernel"].T, ORDER),
        *(parted(bias, ORDER) for bias in biases),
    )


def multi_head_to_keras(params: MultiHeadParams) -> Weights:
    """Returns `query`, `key`, `value`, `attention_output`: a `kernel` and, if any exists, a `bias`.

    With fewer key-value heads than query heads these are the weights of GroupQueryAttention.

    Raises:
        ValueError: if GroupQueryAttention is needed and lacks the sizes.
    """
    name = "multi_head_to_keras"
    arrays, sizes = of_heads.multi_head_arrays(name, params)
    if sizes["h"] != sizes["g"]:
        same = {
            "e u": "features of a head's keys and values",
            "q d": "features of queries and outputs",
        }
        of_heads.refuse(name, "keras.layers.GroupQueryAttention", sizes, unless=same)
    return of_heads.to_kernels(of_heads.all_biased(arrays), PARTS)


def multi_head_from_keras(weights: Weights) -> MultiHeadParams:
    """Returns the parameters of Keras weights; the inverse of `multi_head_to_keras`."""
    return of_heads.from_kernels("multi_head_from_keras", weights, PARTS)
