"""Names of the arrays of a recurrent layer in PyTorch, for each layer and direction."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jattn.convert.gates import Kind, bidirectional_arrays, gru_arrays, joined, parted
from jattn.convert.named import Sizes, Weights, nested, taken

# PyTorch stacks the gates of a GRU and of an LSTM in jattn's order.
NAMES = {
    "input_weight": "weight_ih",
    "hidden_weight": "weight_hh",
    "input_bias": "bias_ih",
    "hidden_bias": "bias_hh",
}


def layers_to_torch(function: str, layers: Any, kind: Kind, library: str) -> Weights:
    """Returns the arrays of all layers under their names, such as `weight_ih_l0_reverse`.

    Raises:
        ValueError: if layers differ in units or directions.
    """
    if not isinstance(layers, Sequence) or not layers:
        raise ValueError(f"{function}: layers is {layers!r}, expected at least one layer")
    arrays, sizes, first = {}, Sizes(), type(layers[0])
    for index, layer in enumerate(layers):
        if type(layer) is not first:
            raise ValueError(
                f"{function}: layers[{index}] is a {type(layer).__name__} and layers[0] a "
                f"{first.__name__}; {library} has the same directions in every layer"
            )
        both = function.startswith("bidirectional") or isinstance(layer, kind.both)
        ways = (
            bidirectional_arrays(function, layer, kind)
            if both
            else (gru_arrays(function, layer, kind=kind),)
        )
        size = f"{len(ways)}*n" if index else "i"
        for way, params in enumerate(ways):
            suffix = f"_l{index}{'_reverse' * way}"
            named = {
                NAMES[name] + suffix: joined(array, kind.order, kind)
                for name, array in params._asdict().items()
            }
            arrays |= taken(function, named, _axes(suffix, size, kind), sizes=sizes)
    return nested(arrays)


def layers_from_torch(
    function: str, weights: Weights, suffixes: Sequence[tuple[str, str]], kind: Kind
) -> list[Any]:
    """Returns the parameters for each suffix of the names and its input's axis."""
    axes: dict[str, str] = {}
    for suffix, size in suffixes:
        axes |= _axes(suffix, size, kind)
    sizes: Sizes = {}
    biases = [name for name in axes if name.startswith("bias")]
    arrays = taken(function, weights, axes, optional=biases, sizes=sizes)
    dtype = arrays[f"weight_hh{suffixes[0][0]}"].dtype
    zeros = np.zeros(len(kind.order) * sizes["n"], dtype)
    read = lambda name: parted(arrays.get(name, zeros), kind.order, kind)
    return [
        kind.params(*(read(name + suffix) for name in NAMES.values())) for suffix, _ in suffixes
    ]


def stack_from_torch(function: str, weights: Weights, kind: Kind) -> tuple[Any, ...]:
    """Returns the layers; their number and directions follow from the names."""
    ways = ["", "_reverse"] if any(str(name).endswith("_reverse") for name in weights) else [""]
    layers = 1
    while f"weight_ih_l{layers}" in weights:
        layers += 1
    suffixes = [
        (f"_l{layer}{way}", f"{len(ways)}*n" if layer else "i")
        for layer in range(layers)
        for way in ways
    ]
    read = layers_from_torch(function, weights, suffixes, kind)
    if len(ways) == 1:
        return tuple(read)
    return tuple(kind.both(*read[i : i + 2]) for i in range(0, len(read), 2))


def _axes(suffix: str, size: str, kind: Kind) -> dict[str, str]:
    rows = f"{len(kind.order)}*n"
    forms = (f"{rows} {size}", f"{rows} n", rows, rows)
    return {name + suffix: form for name, form in zip(NAMES.values(), forms, strict=True)}
