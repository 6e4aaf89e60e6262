"""Conversion to and from PyTorch: state dicts of torch.nn.GRU and torch.nn.GRUCell.

Every `_from_torch` function takes tensors or arrays of any floating-point dtype, bfloat16 included.
`prefix` is the part of the names before the module's own, such as `encoder.rnn.`. With a prefix,
other entries of the state dict are ignored.
"""

from collections.abc import Sequence

import numpy as np

from jattn.convert.gates import (
    JATTN_ORDER,
    bidirectional_arrays,
    check_cell,
    gru_arrays,
    joined,
    parted,
)
from jattn.convert.named import Sizes, Weights, nested, taken, without_prefix
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


def gru_cell_to_torch(params: GRUParams, *, cell: Cell = gru_cell) -> Weights:
    """Returns `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh`, the state dict of torch.nn.GRUCell.

    Raises:
        ValueError: if the cell resets before the product.
    """
    named = _to("gru_cell_to_torch", [params], cell)
    return {name.removesuffix("_l0"): array for name, array in named.items()}


def gru_cell_from_torch(weights: Weights, *, prefix: str = "", cell: Cell = gru_cell) -> GRUParams:
    """Returns the parameters of a torch.nn.GRUCell; missing biases become zero.

    Raises:
        ValueError: if an array is missing, unknown, of another shape or not of floating point, no
            name begins with `prefix`, or the cell resets before the product.
    """
    function = "gru_cell_from_torch"
    return _from(function, without_prefix(function, weights, prefix), [("", "i")], cell)[0]


def gru_to_torch(params: GRUParams, *, cell: Cell = gru_cell) -> Weights:
    """Returns `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`.

    Raises:
        ValueError: if the cell resets before the product.
    """
    return _to("gru_to_torch", [params], cell)


def gru_from_torch(weights: Weights, *, prefix: str = "", cell: Cell = gru_cell) -> GRUParams:
    """Returns the parameters of a torch.nn.GRU of one layer; the inverse of `gru_to_torch`.

    Missing biases (bias=False) become zero.

    Raises:
        ValueError: as `gru_cell_from_torch` does.
    """
    function = "gru_from_torch"
    return _from(function, without_prefix(function, weights, prefix), [("_l0", "i")], cell)[0]


def bidirectional_gru_to_torch(params: BidirectionalGRUParams, *, cell: Cell = gru_cell) -> Weights:
    """Returns the arrays of `gru_to_torch` and those of the other direction, with `_reverse`.

    Raises:
        ValueError: if the cell resets before the product, or the directions differ in size.
    """
    return _to("bidirectional_gru_to_torch", [params], cell)


def bidirectional_gru_from_torch(
    weights: Weights, *, prefix: str = "", cell: Cell = gru_cell
) -> BidirectionalGRUParams:
    """Returns the parameters of a torch.nn.GRU with bidirectional=True.

    Raises:
        ValueError: as `gru_cell_from_torch` does.
    """
    function = "bidirectional_gru_from_torch"
    suffixes = [("_l0", "i"), ("_l0_reverse", "i")]
    read = _from(function, without_prefix(function, weights, prefix), suffixes, cell)
    return BidirectionalGRUParams(*read)


def stacked_gru_to_torch(layers: Sequence[Layer], *, cell: Cell = gru_cell) -> Weights:
    """Returns the arrays of all layers, with `_l0`, `_l1` and so on.

    Raises:
        ValueError: if layers differ in units or directions, or the cell resets before the product.
    """
    return _to("stacked_gru_to_torch", layers, cell)


def stacked_gru_from_torch(
    weights: Weights, *, prefix: str = "", cell: Cell = gru_cell
) -> tuple[Layer, ...]:
    """Returns the layers of a torch.nn.GRU; their number and directions follow from the names.

    Raises:
        ValueError: as `gru_cell_from_torch` does.
    """
    function = "stacked_gru_from_torch"
    weights = dict(without_prefix(function, weights, prefix))
    ways = ["", "_reverse"] if any(str(name).endswith("_reverse") for name in weights) else [""]
    layers = 1
    while f"weight_ih_l{layers}" in weights:
        layers += 1
    suffixes = [
        (f"_l{layer}{way}", f"{len(ways)}*n" if layer else "i")
        for layer in range(layers)
        for way in ways
    ]
    read = _from(function, weights, suffixes, cell)
    if len(ways) == 1:
        return tuple(read)
    return tuple(BidirectionalGRUParams(*read[i : i + 2]) for i in range(0, len(read), 2))


def _to(function: str, layers: Sequence[Layer], cell: Cell) -> Weights:
    check_cell(function, cell, gru_cell, library=LIBRARY)
    if not isinstance(layers, Sequence) or not layers:
        raise ValueError(f"{function}: layers is {layers!r}, expected at least one layer")
    arrays, sizes, kind = {}, Sizes(), type(layers[0])
    for index, layer in enumerate(layers):
        if type(layer) is not kind:
            raise ValueError(
                f"{function}: layers[{index}] is a {type(layer).__name__} and layers[0] a "
                f"{kind.__name__}; {LIBRARY} has the same directions in every layer"
            )
        both = function.startswith("bidirectional") or isinstance(layer, BidirectionalGRUParams)
        ways = bidirectional_arrays(function, layer) if both else (gru_arrays(function, layer),)
        size = f"{len(ways)}*n" if index else "i"
        for way, params in enumerate(ways):
            suffix = f"_l{index}{'_reverse' * way}"
            named = {
                NAMES[name] + suffix: joined(array, JATTN_ORDER)
                for name, array in params._asdict().items()
            }
            arrays |= taken(function, named, _axes(suffix, size), sizes=sizes)
    return nested(arrays)


def _from(
    function: str, weights: Weights, suffixes: Sequence[tuple[str, str]], cell: Cell
) -> list[GRUParams]:
    """Reads one GRU for each suffix of the names and its input's axis."""
    check_cell(function, cell, gru_cell, library=LIBRARY)
    axes: dict[str, str] = {}
    for suffix, size in suffixes:
        axes |= _axes(suffix, size)
    sizes: Sizes = {}
    biases = [name for name in axes if name.startswith("bias")]
    arrays = taken(function, weights, axes, optional=biases, sizes=sizes)
    zeros = np.zeros(3 * sizes["n"], arrays[f"weight_hh{suffixes[0][0]}"].dtype)
    return [
        GRUParams(
            *(parted(arrays.get(name + suffix, zeros), JATTN_ORDER) for name in NAMES.values())
        )
        for suffix, _ in suffixes
    ]


def _axes(suffix: str, size: str) -> dict[str, str]:
    forms = (f"3*n {size}", "3*n n", "3*n", "3*n")
    return {name + suffix: form for name, form in zip(NAMES.values(), forms, strict=True)}
