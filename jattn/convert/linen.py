"""Conversion to and from Flax linen: GRUCell, Bidirectional, MultiHeadDotProductAttention."""

import numpy as np

from jattn.attention.multi_head import MultiHeadParams
from jattn.convert import heads as of_heads
from jattn.convert.gates import (
    JATTN_ORDER,
    bidirectional_arrays,
    candidate_alone,
    check_cell,
    gru_arrays,
    one_bias,
    sides,
)
from jattn.convert.named import Array, Arrays, Weights, nested, taken
from jattn.recurrent.bidirectional import BidirectionalGRUParams
from jattn.recurrent.cells import Cell, GRUParams, gru_cell

WAYS = ("forward_rnn", "backward_rnn")
PARTS = ("query", "key", "value", "out")


def gru_to_linen(params: GRUParams, *, cell: Cell = gru_cell) -> Weights:
    """Returns `ir`, `iz`, `in`, `hr`, `hz`, `hn`, the params of a GRUCell; under `cell` in an RNN.

    The input and hidden biases of reset and update are added, because the cell has only one.

    Raises:
        ValueError: if the cell resets before the product.
    """
    return _to("gru_to_linen", params, cell)


def gru_from_linen(weights: Weights, *, cell: Cell = gru_cell) -> GRUParams:
    """Returns the parameters of a linen GRUCell; the inverse of `gru_to_linen`.

    The hidden biases of reset and update are zero.
    """
    return _from("gru_from_linen", weights, cell)


def bidirectional_gru_to_linen(params: BidirectionalGRUParams, *, cell: Cell = gru_cell) -> Weights:
    """Returns the dicts of `gru_to_linen` under `forward_rnn/cell` and `backward_rnn/cell`."""
    name = "bidirectional_gru_to_linen"
    both = bidirectional_arrays(name, params)
    return {
        way: {"cell": _to(name, direction, cell)} for way, direction in zip(WAYS, both, strict=True)
    }


def bidirectional_gru_from_linen(
    weights: Weights, *, cell: Cell = gru_cell
) -> BidirectionalGRUParams:
    """Returns both directions; the inverse of `bidirectional_gru_to_linen`."""
    name = "bidirectional_gru_from_linen"
    return sides(name, weights, WAYS, lambda direction: _from(name, direction, cell), "cell")


def _to(function: str, params: GRUParams, cell: Cell) -> Weights:
    check_cell(function, cell, gru_cell, library="flax.linen.GRUCell")
    params = gru_arrays(function, params)
    found: Arrays = {}
    for index, bias in enumerate(one_bias(params, 2)):
        found[f"i{JATTN_ORDER[index]}/kernel"] = params.input_weight[index].T
        found[f"i{JATTN_ORDER[index]}/bias"] = bias
        found[f"h{JATTN_ORDER[index]}/kernel"] = params.hidden_weight[index].T
    return nested({**found, "hn/bias": params.hidden_bias[2]})


def _from(function: str, weights: Weights, cell: Cell) -> GRUParams:
    check_cell(function, cell, gru_cell, library="flax.linen.GRUCell")
    axes = {}
    for gate in JATTN_ORDER:
        axes |= {f"i{gate}/kernel": "i n", f"i{gate}/bias": "n", f"h{gate}/kernel": "n n"}
    found = taken(function, weights, {**axes, "hn/bias": "n"})
    input_weight, hidden_weight, input_bias = (
        _stacked(found, path) for path in ("i{}/kernel", "h{}/kernel", "i{}/bias")
    )
    hidden_bias = candidate_alone(input_bias, found["hn/bias"])
    return GRUParams(input_weight, hidden_weight, input_bias, hidden_bias)


def _stacked(found: Arrays, path: str) -> Array:
    """Returns the array of each gate, kernels with output features first."""
    return np.stack([found[path.format(gate)].T for gate in JATTN_ORDER])


def multi_head_to_linen(params: MultiHeadParams) -> Weights:
    """Returns `query`, `key`, `value`, `out`, each with `kernel` and, if any has a bias, `bias`.

    Raises:
        ValueError: if key-value heads are fewer than query heads, or key and value sizes differ.
    """
    arrays, sizes = of_heads.multi_head_arrays("multi_head_to_linen", params)
    same = {
        "h g": "heads of queries and of keys",
        "e u": "features of a head's keys and values",
    }
    library = "flax.linen.MultiHeadDotProductAttention"
    of_heads.refuse("multi_head_to_linen", library, sizes, unless=same)
    return of_heads.to_kernels(of_heads.all_biased(arrays), PARTS)


def multi_head_from_linen(weights: Weights) -> MultiHeadParams:
    """Returns the parameters of Flax linen weights; the inverse of `multi_head_to_linen`."""
    return of_heads.from_kernels("multi_head_from_linen", weights, PARTS)
