"""Keras: weights of GRU, Bidirectional(GRU), MultiHeadAttention, GroupQueryAttention, by name."""

import numpy as np

from jattn.attention.multi_head import MultiHeadParams
from jattn.convert import heads as of_heads
from jattn.convert.gates import check_cell, joined, one_bias, own, own_both, parted, sides
from jattn.convert.named import Sizes, Weights, nested, taken
from jattn.recurrent.bidirectional import BidirectionalGRUParams
from jattn.recurrent.cells import Cell, GRUParams, gru_cell, reset_before_gru_cell

ORDER = "zrn"
WAYS = ("forward_layer", "backward_layer")
PARTS = ("query", "key", "value", "attention_output")


def gru_to_keras(params: GRUParams, *, cell: Cell = gru_cell) -> Weights:
    """`kernel`, `recurrent_kernel` and `bias`, in the order of `layer.get_weights()`.

    The layer has reset_after=True, and two biases, unless the cell resets before the product; then
    it has the sum of both.
    """
    return _to("gru_to_keras", params, cell)


def gru_from_keras(weights: Weights, *, cell: Cell = gru_cell) -> GRUParams:
    """The inverse of `gru_to_keras`.

    One bias becomes the input's, and the hidden one is zero; without any both are.

    Raises:
        ValueError: the biases are those of the other `reset_after` than `cell` needs.
    """
    return _from("gru_from_keras", weights, cell)


def bidirectional_gru_to_keras(params: BidirectionalGRUParams, *, cell: Cell = gru_cell) -> Weights:
    """As `gru_to_keras`, for the `forward_layer` and the `backward_layer`."""
    name = "bidirectional_gru_to_keras"
    both = own_both(name, params)
    return {way: _to(name, one, cell) for way, one in zip(WAYS, both, strict=True)}


def bidirectional_gru_from_keras(
    weights: Weights, *, cell: Cell = gru_cell
) -> BidirectionalGRUParams:
    """The inverse of `bidirectional_gru_to_keras`."""
    name = "bidirectional_gru_from_keras"
    return sides(name, weights, WAYS, lambda one: _from(name, one, cell))


def _to(function: str, params: GRUParams, cell: Cell) -> Weights:
    check_cell(function, cell, gru_cell, reset_before_gru_cell, library="keras.layers.GRU")
    params = own(function, params)
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
    """`query`, `key`, `value`, `attention_output`, each with `kernel` and, if any has one, `bias`.

    With groups of heads these are the weights of GroupQueryAttention.

    Raises:
        ValueError: groups of heads, and sizes that GroupQueryAttention does not have.
    """
    name = "multi_head_to_keras"
    arrays, sizes = of_heads.own(name, params)
    if sizes["h"] != sizes["g"]:
        same = {
            "e u": "features of a head's keys and values",
            "q d": "features of queries and outputs",
        }
        of_heads.refuse(name, "keras.layers.GroupQueryAttention", sizes, unless=same)
    return of_heads.to_kernels(of_heads.all_biased(arrays), PARTS)


def multi_head_from_keras(weights: Weights) -> MultiHeadParams:
    """The inverse of `multi_head_to_keras`."""
    return of_heads.from_kernels("multi_head_from_keras", weights, PARTS)
