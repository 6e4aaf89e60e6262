"""Conversion to and from Equinox: array fields of GRUCell and MultiheadAttention."""

import numpy as np

from jattn.attention.multi_head import MultiHeadParams
from jattn.convert import heads as of_heads
from jattn.convert.gates import (
    JATTN_ORDER,
    candidate_alone,
    check_cell,
    gru_arrays,
    joined,
    one_bias,
    parted,
)
from jattn.convert.named import Sizes, Weights, nested, taken
from jattn.recurrent.cells import Cell, GRUParams, gru_cell

PATH = {
    f"{part}_{kind}": f"{part}_proj/{kind}"
    for part in of_heads.PARTS
    for kind in ("weight", "bias")
}


def gru_to_equinox(params: GRUParams, *, cell: Cell = gru_cell) -> Weights:
    """Returns `weight_ih`, `weight_hh`, `bias` and `bias_n`, the candidate's hidden bias.

    The input and hidden biases of reset and update are added, because the cell has only one.

    Raises:
        ValueError: if the cell resets before the product.
    """
    check_cell("gru_to_equinox", cell, gru_cell, library="equinox.nn.GRUCell")
    params = gru_arrays("gru_to_equinox", params)
    return nested(
        {
            "weight_ih": joined(params.input_weight, JATTN_ORDER),
            "weight_hh": joined(params.hidden_weight, JATTN_ORDER),
            "bias": joined(one_bias(params, 2), JATTN_ORDER),
            "bias_n": params.hidden_bias[2],
        }
    )


def gru_from_equinox(weights: Weights, *, cell: Cell = gru_cell) -> GRUParams:
    """Returns the parameters of an Equinox GRUCell; the inverse of `gru_to_equinox`.

    Biases that are None (use_bias=False) become zero.
    """
    check_cell("gru_from_equinox", cell, gru_cell, library="equinox.nn.GRUCell")
    sizes: Sizes = {}
    axes = {"weight_ih": "3*n i", "weight_hh": "3*n n", "bias": "3*n", "bias_n": "n"}
    optional = ("bias", "bias_n")
    found = taken("gru_from_equinox", weights, axes, optional=optional, sizes=sizes)
    zeros = np.zeros(3 * sizes["n"], found["weight_ih"].dtype)
    bias = parted(found.get("bias", zeros), JATTN_ORDER)
    return GRUParams(
        parted(found["weight_ih"], JATTN_ORDER),
        parted(found["weight_hh"], JATTN_ORDER),
        bias,
        candidate_alone(bias, found.get("bias_n", zeros[: sizes["n"]])),
    )


def multi_head_to_equinox(params: MultiHeadParams) -> Weights:
    """Returns `query_proj`, `key_proj`, `value_proj`, `output_proj`: a `weight` and maybe a `bias`.

    Raises:
        ValueError: if there are fewer key-value heads than query heads.
    """
    arrays, sizes = of_heads.multi_head_arrays("multi_head_to_equinox", params)
    same = {"h g": "heads of queries and of keys"}
    of_heads.refuse("multi_head_to_equinox", "equinox.nn.MultiheadAttention", sizes, unless=same)
    return of_heads.to_matrices(arrays, PATH, inputs_first=False)


def multi_head_from_equinox(weights: Weights, *, heads: int) -> MultiHeadParams:
    """Returns the parameters of Equinox weights; the inverse of `multi_head_to_equinox`."""
    name = "multi_head_from_equinox"
    return of_heads.from_matrices(name, weights, PATH, inputs_first=False, heads=heads)
