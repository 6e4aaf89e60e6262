"""What all conversions of a GRU share: the order of gates, their biases, and who resets when."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jattn.convert.named import Array, Sizes, mapping, taken
from jattn.recurrent.bidirectional import BidirectionalGRUParams
from jattn.recurrent.cells import Cell, GRUParams, gru_cell, reset_before_gru_cell

OURS = "rzn"  # Reset, update, candidate, in the letters of most libraries.
AXES = {
    "input_weight": "3 n i",
    "hidden_weight": "3 n n",
    "input_bias": "3 n",
    "hidden_bias": "3 n",
}
WHEN: dict[Cell, str] = {gru_cell: "after the product", reset_before_gru_cell: "before the product"}


def joined(array: Array, order: str) -> Array:
    """Gates `3 n ...` of ours one after the other, `3*n ...`, in the order of `order`."""
    return array[[OURS.index(gate) for gate in order]].reshape(-1, *array.shape[2:])


def parted(array: Array, order: str) -> Array:
    """The inverse of `joined`."""
    return array.reshape(3, -1, *array.shape[1:])[[order.index(gate) for gate in OURS]]


def own(function: str, params: Any, sizes: Sizes | None = None) -> GRUParams:
    """The same parameters in NumPy, their shapes checked.

    Raises:
        ValueError: it is no GRUParams, or two of its arrays disagree about a size.
    """
    if not isinstance(params, GRUParams):
        raise ValueError(f"{function}: params is a {type(params).__name__}, expected GRUParams")
    return GRUParams(**taken(function, params._asdict(), AXES, sizes=sizes))


def own_both(function: str, params: Any) -> tuple[GRUParams, GRUParams]:
    """Both directions as `own` gives them, of the same sizes."""
    if not isinstance(params, BidirectionalGRUParams):
        name = type(params).__name__
        raise ValueError(f"{function}: params is a {name}, expected BidirectionalGRUParams")
    sizes: Sizes = {}
    return own(function, params.forward, sizes), own(function, params.backward, sizes)


def check_cell(function: str, cell: Cell, *held: Cell, library: str) -> None:
    """Raises ValueError unless `cell` is one of those whose equation the library computes."""
    name = getattr(cell, "__name__", cell)
    if cell not in WHEN:
        expected = " or ".join(one.__name__ for one in WHEN)  # type: ignore[attr-defined]
        raise ValueError(f"{function}: cell is {name}, expected {expected}")
    if cell not in held:
        raise ValueError(
            f"{function}: cell is {name}, which resets {WHEN[cell]}; "
            f"{library} resets {WHEN[held[0]]}"
        )


def one_bias(params: GRUParams, gates: int) -> Array:
    """The sum of both biases for the first `gates` gates, the input's own for the others.

    A sum with zero is the other summand bit for bit, even if that is -0.0.
    """
    bias, hidden = params.input_bias[:gates], params.hidden_bias[:gates]
    added = np.where(hidden == 0, bias, bias + hidden)
    return np.concatenate([added, params.input_bias[gates:]])


def candidate_alone(bias: Array, candidate: Array) -> Array:
    """A hidden bias `3 n` that is zero for reset and update."""
    return np.stack([np.zeros_like(bias[0]), np.zeros_like(bias[1]), candidate])


def sides(
    function: str,
    weights: Any,
    names: Sequence[str],
    one: Callable[[Any], GRUParams],
    inside: str | None = None,
) -> BidirectionalGRUParams:
    """Both directions, each read by `one` from the weights under its name, or `inside` it.

    Raises:
        ValueError: the names are others, or the directions differ in size.
    """
    found, weights = [], mapping(function, weights)
    for name in names:
        part = weights.get(name)
        part = part.get(inside) if inside and part is not None else part
        if part is None or set(weights) != set(names):
            expected = ", ".join(f"{way}/{inside}" if inside else way for way in names)
            raise ValueError(f"{function}: has {', '.join(weights)}, expected {expected}")
        found.append(one(part))
    return BidirectionalGRUParams(*own_both(function, BidirectionalGRUParams(*found)))
