"""PyTorch: state dicts of torch.nn.GRU, without a prefix."""

from collections.abc import Sequence

import numpy as np

from jattn.convert.gates import OURS, check_cell, joined, own, own_both, parted
from jattn.convert.named import Sizes, Weights, mapping, nested, taken
from jattn.recurrent.bidirectional import BidirectionalGRUParams
from jattn.recurrent.cells import Cell, GRUParams, gru_cell
from jattn.recurrent.stacked import Layer

LIBRARY = "torch.nn.GRU"
NAMES = {
    "input_weight": "weight_ih",
    "hidden_weight": "weight_hh",
    "input_bias": "bias_ih",
    "hidden_bias": "bias_hh",
}


def gru_to_torch(params: GRUParams, *, cell: Cell = gru_cell) -> Weights:
    """`weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`.

    Raises:
        ValueError: the cell resets before the product.
    """
    return _to("gru_to_torch", [params], cell)


def gru_from_torch(weights: Weights, *, cell: Cell = gru_cell) -> GRUParams:
    """The inverse of `gru_to_torch`; biases that are missing, as with bias=False, are zero."""
    return _from("gru_from_torch", weights, 1, [""], cell)[0][0]


def bidirectional_gru_to_torch(params: BidirectionalGRUParams, *, cell: Cell = gru_cell) -> Weights:
    """As `gru_to_torch`, and the same with `_reverse`."""
    return _to("bidirectional_gru_to_torch", [params], cell)


def bidirectional_gru_from_torch(
    weights: Weights, *, cell: Cell = gru_cell
) -> BidirectionalGRUParams:
    """The inverse of `bidirectional_gru_to_torch`."""
    name = "bidirectional_gru_from_torch"
    return BidirectionalGRUParams(*_from(name, weights, 1, ["", "_reverse"], cell)[0])


def stacked_gru_to_torch(layers: Sequence[Layer], *, cell: Cell = gru_cell) -> Weights:
    """As the two before, with `_l1` and so on.

    Raises:
        ValueError: layers differ in units or directions.
    """
    return _to("stacked_gru_to_torch", layers, cell)


def stacked_gru_from_torch(weights: Weights, *, cell: Cell = gru_cell) -> tuple[Layer, ...]:
    """The inverse of `stacked_gru_to_torch`; names tell the layers and the directions."""
    names = mapping("stacked_gru_from_torch", weights)
    ways = ["", "_reverse"] if any(name.endswith("_reverse") for name in names) else [""]
    layers = 0
    while f"weight_ih_l{layers}" in weights:
        layers += 1
    read = _from("stacked_gru_from_torch", weights, max(layers, 1), ways, cell)
    return tuple(BidirectionalGRUParams(*one) if len(ways) == 2 else one[0] for one in read)


def _to(function: str, layers: Sequence[Layer], cell: Cell) -> Weights:
    check_cell(function, cell, gru_cell, library=LIBRARY)
    if not isinstance(layers, Sequence) or not layers:
        raise ValueError(f"{function}: layers is {layers!r}, expected at least one layer")
    found, sizes, kind = {}, Sizes(), type(layers[0])
    for index, layer in enumerate(layers):
        if type(layer) is not kind:
            raise ValueError(
                f"{function}: layers[{index}] is a {type(layer).__name__} and layers[0] a "
                f"{kind.__name__}; {LIBRARY} reads in the same directions in every layer"
            )
        both = function.startswith("bidirectional") or isinstance(layer, BidirectionalGRUParams)
        ways = own_both(function, layer) if both else (own(function, layer),)
        for way, params in enumerate(ways):
            suffix = f"_l{index}{'_reverse' * way}"
            named = {NAMES[name] + suffix: joined(x, OURS) for name, x in params._asdict().items()}
            found |= taken(function, named, _axes(index, suffix, len(ways)), sizes=sizes)
    return nested(found)


def _from(
    function: str, weights: Weights, layers: int, ways: Sequence[str], cell: Cell
) -> list[list[GRUParams]]:
    """Of every layer and direction."""
    check_cell(function, cell, gru_cell, library=LIBRARY)
    axes = {}
    for index in range(layers):
        for way in ways:
            axes |= _axes(index, f"_l{index}{way}", len(ways))
    sizes: Sizes = {}
    biases = [name for name in axes if name.startswith("bias")]
    found = taken(function, weights, axes, optional=biases, sizes=sizes)
    zeros = np.zeros(3 * sizes["n"], found["weight_hh_l0"].dtype)
    read = lambda suffix: GRUParams(
        *(parted(found.get(name + suffix, zeros), OURS) for name in NAMES.values())
    )
    return [[read(f"_l{index}{way}") for way in ways] for index in range(layers)]


def _axes(layer: int, suffix: str, directions: int) -> dict[str, str]:
    size = "i" if layer == 0 else f"{directions}*n"
    forms = (f"3*n {size}", "3*n n", "3*n", "3*n")
    return {name + suffix: form for name, form in zip(NAMES.values(), forms, strict=True)}
