"""ONNX: inputs of the operator GRU, and of the products around the operator Attention."""

from collections.abc import Sequence

import numpy as np

from jattn.attention.multi_head import MultiHeadParams
from jattn.convert import heads as of_heads
from jattn.convert.gates import check_cell, joined, own, own_both, parted
from jattn.convert.named import Sizes, Weights, nested, taken
from jattn.recurrent.bidirectional import BidirectionalGRUParams
from jattn.recurrent.cells import Cell, GRUParams, gru_cell, reset_before_gru_cell

ORDER = "zrn"
PATH = {name: name for name in of_heads.AXES}


def gru_to_onnx(params: GRUParams, *, cell: Cell = gru_cell) -> Weights:
    """`W`, `R` and `B`, with an axis for one direction in front.

    The operator computes `gru_cell` with linear_before_reset=1, `reset_before_gru_cell` with 0.
    """
    return _to("gru_to_onnx", [own("gru_to_onnx", params)], cell)


def gru_from_onnx(weights: Weights, *, cell: Cell = gru_cell) -> GRUParams:
    """The inverse of `gru_to_onnx`; without `B` the biases are zero."""
    return _from("gru_from_onnx", weights, 1, cell)[0]


def bidirectional_gru_to_onnx(params: BidirectionalGRUParams, *, cell: Cell = gru_cell) -> Weights:
    """As `gru_to_onnx`, of two directions."""
    name = "bidirectional_gru_to_onnx"
    return _to(name, own_both(name, params), cell)


def bidirectional_gru_from_onnx(
    weights: Weights, *, cell: Cell = gru_cell
) -> BidirectionalGRUParams:
    """The inverse of `bidirectional_gru_to_onnx`."""
    return BidirectionalGRUParams(*_from("bidirectional_gru_from_onnx", weights, 2, cell))


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
    """`query_weight` and so on, each the second input of a MatMul, `query_bias` that of an Add.

    The operator Attention has no weights. It reads the three products as `b t h*e`, with
    q_num_heads and kv_num_heads, and its output is what `output_weight` multiplies.
    """
    arrays, _ = of_heads.own("multi_head_to_onnx", params)
    return of_heads.to_matrices(arrays, PATH, inputs_first=True)


def multi_head_from_onnx(
    weights: Weights, *, heads: int, key_value_heads: int | None = None
) -> MultiHeadParams:
    """The inverse of `multi_head_to_onnx`; key_value_heads is heads unless given."""
    return of_heads.from_matrices(
        "multi_head_from_onnx",
        weights,
        PATH,
        inputs_first=True,
        heads=heads,
        key_value_heads=key_value_heads,
    )
