"""Conversion to and from Flax nnx: GRUCell, Bidirectional, MultiHeadAttention, as pure dicts."""

import numpy as np

from jattn.attention.multi_head import MultiHeadParams
from jattn.convert import heads as of_heads
from jattn.convert.gates import (
    JATTN_ORDER,
    bidirectional_arrays,
    check_cell,
    gru_arrays,
    joined,
    one_bias,
    parted,
    sides,
)
from jattn.convert.named import Weights, nested, taken
from jattn.recurrent.bidirectional import BidirectionalGRUParams
from jattn.recurrent.cells import Cell, GRUParams, gru_cell

GRU = "flax.nnx.GRUCell"
WAYS = ("forward_rnn", "backward_rnn")
PARTS = ("query", "key", "value", "out")


def gru_to_nnx(params: GRUParams, *, cell: Cell = gru_cell) -> Weights:
    """Returns `dense_i` (`kernel`, `bias`) and `dense_h` (`kernel`); under `cell` in an RNN.

    The input and hidden biases of reset and update are added, because the cell has only one.

    Raises:
        ValueError: if the candidate's hidden bias, which the cell lacks, is not zero, or if the
            cell resets before the product.
    """
    return _to("gru_to_nnx", params, cell)


def gru_from_nnx(weights: Weights, *, cell: Cell = gru_cell) -> GRUParams:
    """Returns the parameters of an nnx GRUCell, hidden bias zero; the inverse of `gru_to_nnx`."""
    return _from("gru_from_nnx", weights, cell)


def bidirectional_gru_to_nnx(params: BidirectionalGRUParams, *, cell: Cell = gru_cell) -> Weights:
    """Returns the dicts of `gru_to_nnx` under `forward_rnn/cell` and `backward_rnn/cell`."""
    name = "bidirectional_gru_to_nnx"
    both = bidirectional_arrays(name, params)
    return {
        way: {"cell": _to(name, direction, cell)} for way, direction in zip(WAYS, both, strict=True)
    }


def bidirectional_gru_from_nnx(
    weights: Weights, *, cell: Cell = gru_cell
) -> BidirectionalGRUParams:
    """Returns both directions; the inverse of `bidirectional_gru_to_nnx`."""
    name = "bidirectional_gru_from_nnx"
    return sides(name, weights, WAYS, lambda direction: _from(name, direction, cell), "cell")


def _to(function: str, params: GRUParams, cell: Cell) -> Weights:
    check_cell(function, cell, gru_cell, library=GRU)
    params = gru_arrays(function, params)
    if params.hidden_bias[2].any():
        raise ValueError(
            f"{function}: hidden_bias[2] is not zero; {GRU} has no bias inside the product that "
            "the reset gate multiplies"
        )
    return nested(
        {
            "dense_i/kernel": joined(params.input_weight, JATTN_ORDER).T,
            "dense_i/bias": joined(one_bias(params, 2), JATTN_ORDER),
            "dense_h/kernel": joined(params.hidden_weight, JATTN_ORDER).T,
        }
    )


def _from(function: str, weights: Weights, cell: Cell) -> GRUParams:
    check_cell(function, cell, gru_cell, library=GRU)
    axes = {"dense_i/kernel": "i 3*n", "dense_i/bias": "3*n", "dense_h/kernel": "n 3*n"}
    found = taken(function, weights, axes)
    bias = parted(found["dense_i/bias"], JATTN_ORDER)
    return GRUParams(
        parted(found["dense_i/kernel"].T, JATTN_ORDER),
        parted(found["dense_h/kernel"].T, JATTN_ORDER),
        bias,
        np.zeros_like(bias),
    )


def multi_head_to_nnx(params: MultiHeadParams) -> Weights:
    """Returns `query`, `key`, `value`, `out`, each with `kernel` and, if any has a bias, `bias`.

    Key-value heads are num_kv_heads.

    Raises:
        ValueError: if keys and values, or their heads, differ in size.
    """
    arrays, sizes = of_heads.multi_head_arrays("multi_head_to_nnx", params)
    same = {"k v": "features of keys and values", "e u": "features of a head's keys and values"}
    of_heads.refuse("multi_head_to_nnx", "flax.nnx.MultiHeadAttention", sizes, unless=same)
    return of_heads.to_kernels(of_heads.all_biased(arrays), PARTS)


def multi_head_from_nnx(weights: Weights) -> MultiHeadParams:
    """Returns the parameters of Flax nnx weights; the inverse of `multi_head_to_nnx`."""
    return of_heads.from_kernels("multi_head_from_nnx", weights, PARTS)
