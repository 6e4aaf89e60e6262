"""Conversion to and from PyTorch: state dicts of torch.nn.GRU and torch.nn.GRUCell.

Every `_from_torch` function takes tensors or arrays of any floating-point dtype, bfloat16 included.
`prefix` is the part of the names before the module's own, such as `encoder.rnn.`. With a prefix,
other entries of the state dict are ignored.
"""

from collections.abc import Sequence

from jattn.convert.gates import GRU, check_cell
from jattn.convert.named import Weights, without_prefix
from jattn.convert.torch_layers import layers_from_torch, layers_to_torch, stack_from_torch
from jattn.recurrent.bidirectional import BidirectionalGRUParams
from jattn.recurrent.cells import Cell, GRUParams, gru_cell
from jattn.recurrent.stacked import Layer

LIBRARY = "torch.nn.GRU"


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
    check_cell(function, cell, gru_cell, library=LIBRARY)
    return stack_from_torch(function, without_prefix(function, weights, prefix), GRU)


def _to(function: str, layers: Sequence[Layer], cell: Cell) -> Weights:
    check_cell(function, cell, gru_cell, library=LIBRARY)
    return layers_to_torch(function, layers, GRU, LIBRARY)


def _from(
    function: str, weights: Weights, suffixes: Sequence[tuple[str, str]], cell: Cell
) -> list[GRUParams]:
    check_cell(function, cell, gru_cell, library=LIBRARY)
    return layers_from_torch(function, weights, suffixes, GRU)
