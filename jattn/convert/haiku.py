"""Conversion to and from Haiku: GRU, which resets before the product, and MultiHeadAttention."""

import numpy as np

from jattn.attention.multi_head import MultiHeadParams
from jattn.convert import heads as of_heads
from jattn.convert.gates import check_cell, gru_arrays, joined, one_bias, parted
from jattn.convert.named import Array, Weights, nested, taken
from jattn.recurrent.cells import Cell, GRUParams, gru_cell, reset_before_gru_cell

ORDER = "zrn"
PATH = {
    f"{part}_{kind}": f"{'linear' if part == 'output' else part}/{kind[0]}"
    for part in of_heads.PARTS
    for kind in ("weight", "bias")
}


def gru_to_haiku(params: GRUParams, *, cell: Cell = gru_cell) -> Weights:
    """Returns `w_i`, `w_h` and `b`, the entries of hk.GRU under its module's name.

    Haiku's update gate is 1 minus jattn's, so its weights change sign. The two biases are added.

    Raises:
        ValueError: if the cell is not `reset_before_gru_cell`.
    """
    check_cell("gru_to_haiku", cell, reset_before_gru_cell, library="haiku.GRU")
    params = gru_arrays("gru_to_haiku", params)
    return nested(
        {
            "w_i": joined(_complement(params.input_weight), ORDER).T,
            "w_h": joined(_complement(params.hidden_weight), ORDER).T,
            "b": joined(_complement(one_bias(params, 3)), ORDER),
        }
    )


def gru_from_haiku(weights: Weights, *, cell: Cell = gru_cell) -> GRUParams:
    """Returns the parameters of an hk.GRU, hidden bias zero; the inverse of `gru_to_haiku`.

    Raises:
        ValueError: if the cell is not `reset_before_gru_cell`.
    """
    check_cell("gru_from_haiku", cell, reset_before_gru_cell, library="haiku.GRU")
    axes = {"w_i": "i 3*n", "w_h": "n 3*n", "b": "3*n"}
    found = taken("gru_from_haiku", weights, axes)
    input_weight, hidden_weight, bias = (_complement(parted(found[name].T, ORDER)) for name in axes)
    return GRUParams(input_weight, hidden_weight, bias, np.zeros_like(bias))


def _complement(gates: Array) -> Array:
    """Negates the update gate: sigmoid(-a) = 1 - sigmoid(a)."""
    changed: Array = np.stack([gates[0], -gates[1], gates[2]])
    return changed


def multi_head_to_haiku(params: MultiHeadParams) -> Weights:
    """Returns `query`, `key`, `value`, `linear`, each with `w` and, if any has a bias, `b`.

    Haiku prefixes each with the module's name, as in `multi_head_attention/query`.

    Raises:
        ValueError: if there are fewer key-value heads than query heads.
    """
    arrays, sizes = of_heads.multi_head_arrays("multi_head_to_haiku", params)
    same = {"h g": "heads of queries and of keys"}
    of_heads.refuse("multi_head_to_haiku", "haiku.MultiHeadAttention", sizes, unless=same)
    return of_heads.to_matrices(of_heads.all_biased(arrays), PATH, inputs_first=True)


def multi_head_from_haiku(weights: Weights, *, heads: int) -> MultiHeadParams:
    """Returns the parameters of Haiku weights; the inverse of `multi_head_to_haiku`."""
    name = "multi_head_from_haiku"
    return of_heads.from_matrices(name, weights, PATH, inputs_first=True, heads=heads)
