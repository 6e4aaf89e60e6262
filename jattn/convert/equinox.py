"""Equinox: fields of GRUCell and MultiheadAttention that are arrays."""

import numpy as np

from jattn.attention.multi_head import MultiHeadParams
from jattn.convert import heads as of_heads
from jattn.convert.gates import (
    OURS,
    candidate_alone,
    check_cell,
    joined,
    one_bias,
    own,
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
    """`weight_ih`, `weight_hh`, `bias` and `bias_n`, the candidate's hidden bias.

    Biases of reset and update are added, since the cell has one for the two.

    Raises:
        ValueError: the cell resets before the product.
    """
    check_cell("gru_to_equinox", cell, gru_cell, library="equinox.nn.GRUCell")
    params = own("gru_to_equinox", params)
    return nested(
        {
            "weight_ih": joined(params.input_weight, OURS),
            "weight_hh": joined(params.hidden_weight, OURS),
            "bias": joined(one_bias(params, 2), OURS),
            "bias_n": params.hidden_bias[2],
        }
    )


def gru_from_equinox(weights: Weights, *, cell: Cell = gru_cell) -> GRUParams:
    """The inverse of `gru_to_equinox`; biases that are None, as with use_bias=False, are zero."""
    check_cell("gru_from_equinox", cell, gru_cell, library="equinox.nn.GRUCell")
    sizes: Sizes = {}
    axes = {"weight_ih": "3*n i", "weight_hh": "3*n n", "bias": "3*n", "bias_n": "n"}
    optional = ("bias", "bias_n")
    found = taken("gru_from_equinox", weights, axes, optional=optional, sizes=sizes)
    zeros = np.zeros(3 * sizes["n"], found["weight_ih"].dtype)
    bias = parted(found.get("bias", zeros), OURS)
    return GRUParams(
        parted(found["weight_ih"], OURS),
        parted(found["weight_hh"], OURS),
        bias,
        candidate_alone(bias, found.get("bias_n", zeros[: sizes["n"]])),
    )


def multi_head_to_equinox(params: MultiHeadParams) -> Weights:
    """`query_proj`, `key_proj`, `value_proj`, `output_proj`, each with `weight` and its own `bias`.

    Raises:
        ValueError: groups of heads.
    """
    arrays, sizes = of_heads.own("multi_head_to_equinox", params)
    same = {"h g": "heads of queries and of keys"}
    of_heads.refuse("multi_head_to_equinox", "equinox.nn.MultiheadAttention", sizes, unless=same)
    return of_heads.to_matrices(arrays, PATH, inputs_first=False)


def multi_head_from_equinox(weights: Weights, *, heads: int) -> MultiHeadParams:
    """The inverse of `multi_head_to_equinox`."""
    name = "multi_head_from_equinox"
    return of_heads.from_matrices(name, weights, PATH, inputs_first=False, heads=heads)
