"""Conversion to and from ONNX: inputs of GRU, and of the products around Attention."""

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
    parted,
    read_layers,
)
from jattn.convert.named import Sizes, Weights, nested, taken
from jattn.recurrent.bidirectional import BidirectionalGRUParams
from jattn.recurrent.cells import Cell, GRUParams, gru_cell, reset_before_gru_cell
from jattn.recurrent.stacked import Layer

ORDER = "zrn"
PATH = {name: name for name in of_heads.AXES}


def gru_to_onnx(params: GRUParams, *, cell: Cell = gru_cell) -> Weights:
    """Returns `W`, `R` and `B`, with a leading axis for the one direction.

    The operator computes `gru_cell` with linear_before_reset=1, `reset_before_gru_cell` with 0.
    """
    return _to("gru_to_onnx", [gru_arrays("gru_to_onnx", params)], cell)


def gru_from_onnx(weights: Weights, *, cell: Cell = gru_cell) -> GRUParams:
    """Returns the parameters of a GRU operator; the inverse of `gru_to_onnx`.

    Without `B` the biases are zero.
    """
    return _from("gru_from_onnx", weights, 1, cell)[0]


def bidirectional_gru_to_onnx(params: BidirectionalGRUParams, *, cell: Cell = gru_cell) -> Weights:
    """Returns `W`, `R` and `B` of both directions."""
    name = "bidirectional_gru_to_onnx"
    return _to(name, bidirectional_arrays(name, params), cell)


def bidirectional_gru_from_onnx(
    weights: Weights, *, cell: Cell = gru_cell
) -> BidirectionalGRUParams:
    """Returns the parameters of a bidirectional GRU operator."""
    return BidirectionalGRUParams(*_from("bidirectional_gru_from_onnx", weights, 2, cell))


def stacked_gru_to_onnx(layers: Sequence[Layer], *, cell: Cell = gru_cell) -> list[Weights]:
    """Returns `W`, `R` and `B` of each layer: an ONNX model has one GRU operator for each.

    Raises:
        ValueError: if `layers` is empty, or a layer's input size is not the size of its input.
    """
    name = "stacked_gru_to_onnx"
    check_layers(name, layers)
    return [
        bidirectional_gru_to_onnx(layer, cell=cell)
        if isinstance(layer, BidirectionalGRUParams)
        else gru_to_onnx(layer, cell=cell)
        for layer in layers
    ]


def stacked_gru_from_onnx(
    weights: Sequence[Weights], *, cell: Cell = gru_cell
) -> tuple[Layer, ...]:
    """Returns the layers from `W`, `R` and `B` of each GRU operator, in order.

    The number of directions of a layer is the leading axis of its `W`.

    Raises:
        ValueError: if an array is missing, unknown or of another shape, or a layer's input size is
            not the size of its input.
    """
    name = "stacked_gru_from_onnx"

    def read(part: Weights) -> Layer:
        directions = 2 if np.shape(part.get("W", ()))[:1] == (2,) else 1
        ways = _from(name, part, directions, cell)
        return BidirectionalGRUParams(*ways) if directions == 2 else ways[0]

    return read_layers(name, weights, read)


def _to(function: str, ways: Sequence[GRUParams], cell: Cell) -> Weights:
    check_cell(function, cell, gru_cell, reset_before_gru_cell, library="ONNX")
    flat = [[joined(array, ORDER) for array in params] for params in ways]
    return nested(
        {
            "W": np.stack([one[0] for one in flat]),
            "R": np.stack([one[1] for one in flat]),
            "B": np.stack([np.concatenate(one[2:]) for one in flat]),
        }
    )


def _from(function: str, weights: Weights, directions: int, cell: Cell) -> list[GRUParams]:
    check_cell(function, cell, gru_cell, reset_before_gru_cell, library="ONNX")
    sizes: Sizes = {}
    axes = {
        name: f"{directions} {form}"
        for name, form in {"W": "3*n i", "R": "3*n n", "B": "6*n"}.items()
    }
    found = taken(function, weights, axes, optional=["B"], sizes=sizes)
    zeros = np.zeros((directions, 6 * sizes["n"]), found["W"].dtype)
    return [
        GRUParams(*(parted(array, ORDER) for array in (*weights, *np.split(biases, 2))))
        for *weights, biases in zip(found["W"], found["R"], found.get("B", zeros), strict=True)
    ]


def multi_head_to_onnx(params: MultiHeadParams) -> Weights:
    """Returns `query_weight` and so on, second inputs of MatMul, and biases, second inputs of Add.

    The operator Attention has no weights. It reads the three products as `b t h*e`, with
    q_num_heads and kv_num_heads, and `output_weight` multiplies its output.
    """
    arrays, _ = of_heads.multi_head_arrays("multi_head_to_onnx", params)
    return of_heads.to_matrices(arrays, PATH, inputs_first=True)


def multi_head_from_onnx(
    weights: Weights, *, heads: int, key_value_heads: int | None = None
) -> MultiHeadParams:
    """Returns the parameters held by a dict of ONNX arrays; the inverse of `multi_head_to_onnx`.

    Args:
        weights: the arrays by name.
        heads: number of query heads, which the matrices do not show.
        key_value_heads: number of key-value heads; None means `heads`.
    """
    return of_heads.from_matrices(
        "multi_head_from_onnx",
        weights,
        PATH,
        inputs_first=True,
        heads=heads,
        key_value_heads=key_value_heads,
    )
