"""Flax nnx: pure dicts of the state of GRUCell, Bidirectional and MultiHeadAttention."""

import numpy as np

from jattn.attention.multi_head import MultiHeadParams
from jattn.convert import heads as of_heads
from jattn.convert.gates import (
    OURS,
    check_cell,
    joined,
    one_bias,
    own,
    own_both,
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
    """`dense_i` with `kernel` and `bias`, `dense_h` with `kernel`; RNN has them under `cell`.

    Biases of reset and update are added, since the cell has one for the two.

    Raises:
        ValueError: the candidate's hidden bias is not zero, which the cell does not have, or the
            cell resets before the product.
    """
    return _to("gru_to_nnx", params, cell)


def gru_from_nnx(weights: Weights, *, cell: Cell = gru_cell) -> GRUParams:
    """The inverse of `gru_to_nnx`; the hidden bias is zero."""
    return _from("gru_from_nnx", weights, cell)


def bidirectional_gru_to_nnx(params: BidirectionalGRUParams, *, cell: Cell = gru_cell) -> Weights:
    """As `gru_to_nnx`, under `forward_rnn/cell` and `backward_rnn/cell`."""
    name = "bidirectional_gru_to_nnx"
    both = own_both(name, params)
    return {way: {"cell": _to(name, one, cell)} for way, one in zip(WAYS, both, strict=True)}


def bidirectional_gru_from_nnx(
    weights: Weights, *, cell: Cell = gru_cell
) -> BidirectionalGRUParams:
    """The inverse of `bidirectional_gru_to_nnx`."""
    name = "bidirectional_gru_from_nnx"
    return sides(name, weights, WAYS, lambda one: _from(name, one, cell), "cell")


def _to(function: str, params: GRUParams, cell: Cell) -> Weights:
    check_cell(function, cell, gru_cell, library=GRU)
    params = own(function, params)
    if params.hidden_bias[2].any():
        raise ValueError(
            f"{function}: hidden_bias[2] is not zero; {GRU} has no bias inside the product that "
            "the reset gate multiplies"
        )
    return nested(
        {
            "dense_i/kernel": joined(params.input_weight, OURS).T,
            "dense_i/bias": joined(one_bias(params, 2), OURS),
            "dense_h/kernel": joined(params.hidden_weight, OURS).T,
        }
    )


def _from(function: str, weights: Weights, cell: Cell) -> GRUParams:
    check_cell(function, cell, gru_cell, library=GRU)
    axes = {"dense_i/kernel": "i 3*n", "dense_i/bias": "3*n", "dense_h/kernel": "n 3*n"}
    found = taken(function, weights, axes)
    bias = parted(found["dense_i/bias"], OURS)
    return GRUParams(
        parted(found["dense_i/kernel"].T, OURS),
        parted(found["dense_h/kernel"].T, OURS),
        bias,
        np.zeros_like(bias),
    )


def multi_head_to_nnx(params: MultiHeadParams) -> Weights:
    """`query`, `key`, `value`, `out`, each with `kernel` and, if any has one, `bias`.

    Groups of heads are those of num_kv_heads.

    Raises:
        ValueError: keys and values, or those of a head, differ in size.
    """
    arrays, sizes = of_heads.own("multi_head_to_nnx", params)
    same = {"k v": "features of keys and values", "e u": "features of a head's keys and values"}
    of_heads.refuse("multi_head_to_nnx", "flax.nnx.MultiHeadAttention", sizes, unless=same)
    return of_heads.to_kernels(of_heads.all_biased(arrays), PARTS)


def multi_head_from_nnx(weights: Weights) -> MultiHeadParams:
    """The inverse of `multi_head_to_nnx`."""
    return of_heads.from_kernels("multi_head_from_nnx", weights, PARTS)
