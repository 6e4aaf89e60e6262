"""Shared parts of all conversions of cells: gate order, biases, and reset conventions."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jattn.convert.named import Array, Sizes, Weights, mapping, taken
from jattn.recurrent.bidirectional import BidirectionalGRUParams, BidirectionalParams
from jattn.recurrent.cells import Cell, GRUParams, gru_cell, reset_before_gru_cell
from jattn.recurrent.lstm import LSTMParams
from jattn.recurrent.stacked import Layer

AXES = {"input_weight": "n i", "hidden_weight": "n n", "input_bias": "n", "hidden_bias": "n"}


class Kind(NamedTuple):
    """A kind of cell: the classes of its parameters, and jattn's order of its gates."""

    params: Any
    both: Any
    order: str


JATTN_ORDER = "rzn"  # Reset, update, candidate, in the letters of most libraries.
GRU = Kind(GRUParams, BidirectionalGRUParams, JATTN_ORDER)
LSTM = Kind(LSTMParams, BidirectionalParams, "ifgo")  # Input, forget, candidate, output.
WHEN: dict[Cell, str] = {gru_cell: "after the product", reset_before_gru_cell: "before the product"}


def joined(array: Array, order: str, kind: Kind = GRU) -> Array:
    """Returns jattn's gates `3 n ...` as `3*n ...`, in the order of the letters of `order`."""
    return array[[kind.order.index(gate) for gate in order]].reshape(-1, *array.shape[2:])


def parted(array: Array, order: str, kind: Kind = GRU) -> Array:
    """Returns gates `3*n ...` in the order of `order` as jattn's `3 n ...`."""
    gates = array.reshape(len(order), -1, *array.shape[1:])
    return gates[[order.index(gate) for gate in kind.order]]


def gru_arrays(function: str, params: Any, sizes: Sizes | None = None, kind: Kind = GRU) -> Any:
    """Returns the parameters of a GRU, or of another kind, as NumPy arrays.

    Raises:
        ValueError: if `params` is of another class, or two of its arrays disagree about a size.
    """
    if not isinstance(params, kind.params):
        name, expected = type(params).__name__, kind.params.__name__
        raise ValueError(f"{function}: params is a {name}, expected {expected}")
    axes = {name: f"{len(kind.order)} {form}" for name, form in AXES.items()}
    return kind.params(**taken(function, params._asdict(), axes, sizes=sizes))


def bidirectional_arrays(function: str, params: Any, kind: Kind = GRU) -> tuple[Any, Any]:
    """Returns both directions as NumPy arrays, after checking that their sizes agree."""
    if not isinstance(params, kind.both):
        name, expected = type(params).__name__, kind.both.__name__
        raise ValueError(f"{function}: params is a {name}, expected {expected}")
    sizes: Sizes = {}
    forward = gru_arrays(function, params.forward, sizes, kind)
    return forward, gru_arrays(function, params.backward, sizes, kind)


def check_cell(function: str, cell: Cell, *held: Cell, library: str) -> None:
    """Raises ValueError unless the library computes the equation of `cell`."""
    name = getattr(cell, "__name__", cell)
    if cell not in WHEN:
        expected = " or ".join(known.__name__ for known in WHEN)  # type: ignore[attr-defined]
        raise ValueError(f"{function}: cell is {name}, expected {expected}")
    if cell not in held:
        raise ValueError(
            f"{function}: cell is {name}, which resets {WHEN[cell]}; "
            f"{library} resets {WHEN[held[0]]}"
        )


def one_bias(params: GRUParams | LSTMParams, gates: int) -> Array:
    """Returns both biases added for the first `gates` gates, and the input's bias for the others.

    Adding zero keeps the other summand bit for bit, including -0.0.
    """
    bias, hidden = params.input_bias[:gates], params.hidden_bias[:gates]
    added = np.where(hidden == 0, bias, bias + hidden)
    return np.concatenate([added, params.input_bias[gates:]])


def candidate_alone(bias: Array, candidate: Array) -> Array:
    """Returns a hidden bias `3 n` that is zero for the reset and update gates."""
    return np.stack([np.zeros_like(bias[0]), np.zeros_like(bias[1]), candidate])


def sides(
    function: str,
    weights: Any,
    names: Sequence[str],
    read: Callable[[Any], GRUParams],
    inside: str | None = None,
) -> BidirectionalGRUParams:
    """Returns both directions, each read by `read` from the weights under its name.

    Args:
        function: the public function's name, for error messages.
        weights: a dict with one entry for each direction.
        names: the names of the forward and of the backward direction.
        read: reads the parameters of one direction.
        inside: name of the entry within each direction that holds the weights.

    Raises:
        ValueError: if the names differ, or the directions differ in size.
    """
    directions, weights = [], mapping(function, weights)
    for name in names:
        part = weights.get(name)
        part = part.get(inside) if inside and part is not None else part
        if part is None or set(weights) != set(names):
            expected = ", ".join(f"{way}/{inside}" if inside else way for way in names)
            raise ValueError(f"{function}: has {', '.join(weights)}, expected {expected}")
        directions.append(read(part))
    params = BidirectionalGRUParams(*directions)
    return BidirectionalGRUParams(*bidirectional_arrays(function, params))


def check_layers(function: str, layers: Any) -> None:
    """Raises ValueError unless each layer's input has the size of the layer below."""
    if not isinstance(layers, Sequence) or not layers:
        raise ValueError(f"{function}: layers is {layers!r}, expected at least one layer")
    below = None
    for index, layer in enumerate(layers):
        both = isinstance(layer, BidirectionalGRUParams)
        ways = bidirectional_arrays(function, layer) if both else (gru_arrays(function, layer),)
        features = ways[0].input_weight.shape[2]
        if below is not None and features != below:
            raise ValueError(
                f"{function}: layers[{index}] has input size {features}, expected {below}, "
                f"the size of the outputs of layers[{index - 1}]"
            )
        below = len(ways) * ways[0].input_weight.shape[1]


def read_layers(function: str, weights: Any, read: Callable[[Weights], Layer]) -> tuple[Layer, ...]:
    """Returns the layers that `read` returns for each dict of `weights`, after checking sizes.

    Raises:
        ValueError: if `weights` is not a sequence of dicts, or sizes do not fit.
    """
    if not isinstance(weights, Sequence) or isinstance(weights, str) or not weights:
        kind = type(weights).__name__
        raise ValueError(f"{function}: weights is a {kind}, expected a dict for each layer")
    layers = tuple(read(dict(mapping(function, part))) for part in weights)
    check_layers(function, layers)
    return layers
