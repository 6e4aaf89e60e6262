"""Conversion to and from PyTorch: state dicts of torch.nn.LSTM and torch.nn.LSTMCell.

`prefix` is as in the conversion of GRUs. PyTorch's state is (hidden, cell), as jattn's.
"""

from collections.abc import Sequence
from typing import Any

from jattn.convert.gates import LSTM
from jattn.convert.named import Weights, without_prefix
from jattn.convert.torch_layers import layers_from_torch, layers_to_torch, stack_from_torch
from jattn.recurrent.bidirectional import BidirectionalParams
from jattn.recurrent.lstm import LSTMParams

LIBRARY = "torch.nn.LSTM"


def lstm_cell_to_torch(params: LSTMParams) -> Weights:
    """Returns `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh`: state dict of torch.nn.LSTMCell."""
    named = layers_to_torch("lstm_cell_to_torch", [params], LSTM, LIBRARY)
    return {name.removesuffix("_l0"): array for name, array in named.items()}


def lstm_cell_from_torch(weights: Weights, *, prefix: str = "") -> LSTMParams:
    """Returns the parameters of a torch.nn.LSTMCell; missing biases become zero.

    Raises:
        ValueError: if an array is missing, unknown, of another shape or not of floating point, or
            no name begins with `prefix`.
    """
    return _from("lstm_cell_from_torch", weights, prefix, [("", "i")])[0]


def lstm_to_torch(params: LSTMParams) -> Weights:
    """Returns `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`."""
    return layers_to_torch("lstm_to_torch", [params], LSTM, LIBRARY)


def lstm_from_torch(weights: Weights, *, prefix: str = "") -> LSTMParams:
    """Returns the parameters of a torch.nn.LSTM of one layer; the inverse of `lstm_to_torch`.

    Raises:
        ValueError: as `lstm_cell_from_torch` does.
    """
    return _from("lstm_from_torch", weights, prefix, [("_l0", "i")])[0]


def bidirectional_lstm_to_torch(params: BidirectionalParams) -> Weights:
    """Returns the arrays of `lstm_to_torch` and those of the other direction, with `_reverse`.

    Raises:
        ValueError: if the directions differ in size.
    """
    return layers_to_torch("bidirectional_lstm_to_torch", [params], LSTM, LIBRARY)


def bidirectional_lstm_from_torch(weights: Weights, *, prefix: str = "") -> BidirectionalParams:
    """Returns the parameters of a torch.nn.LSTM with bidirectional=True.

    Raises:
        ValueError: as `lstm_cell_from_torch` does.
    """
    suffixes = [("_l0", "i"), ("_l0_reverse", "i")]
    return BidirectionalParams(*_from("bidirectional_lstm_from_torch", weights, prefix, suffixes))


def stacked_lstm_to_torch(layers: Sequence[Any]) -> Weights:
    """Returns the arrays of all layers, with `_l0`, `_l1` and so on.

    Raises:
        ValueError: if layers differ in units or directions.
    """
    return layers_to_torch("stacked_lstm_to_torch", layers, LSTM, LIBRARY)


def stacked_lstm_from_torch(weights: Weights, *, prefix: str = "") -> tuple[Any, ...]:
    """Returns the layers of a torch.nn.LSTM; their number and directions follow from the names.

    Raises:
        ValueError: as `lstm_cell_from_torch` does.
    """
    function = "stacked_lstm_from_torch"
    return stack_from_torch(function, without_prefix(function, weights, prefix), LSTM)


def _from(function, weights, prefix, suffixes):
    return layers_from_torch(function, without_prefix(function, weights, prefix), suffixes, LSTM)
