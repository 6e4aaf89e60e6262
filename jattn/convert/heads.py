"""Shared parts of all multi-head conversions: layouts, biases, and sizes a library lacks."""

from collections.abc import Mapping, Sequence

import numpy as np

from jattn.attention.multi_head import MultiHeadParams
from jattn.convert.named import Arrays, Sizes, Weights, check_count, nested, taken

PARTS = ("query", "key", "value", "output")
AXES = {
    "query_weight": "h e q",
    "key_weight": "g e k",
    "value_weight": "g u v",
    "output_weight": "d h u",
    "query_bias": "h e",
    "key_bias": "g e",
    "value_bias": "g u",
    "output_bias": "d",
}
BIASES = tuple(f"{part}_bias" for part in PARTS)


def multi_head_arrays(function: str, params: MultiHeadParams) -> tuple[Arrays, Sizes]:
    """Returns the parameters that are not None as NumPy arrays by name, and their sizes.

    Raises:
        ValueError: if `params` is not a MultiHeadParams, or two arrays disagree about a size.
    """
    if not isinstance(params, MultiHeadParams):
        name = type(params).__name__
        raise ValueError(f"{function}: params is a {name}, expected MultiHeadParams")
    sizes: Sizes = {}
    return taken(function, params._asdict(), AXES, optional=BIASES, sizes=sizes), sizes


def refuse(function: str, library: str, sizes: Sizes, *, unless: Mapping[str, str]) -> None:
    """Raises ValueError if two sizes differ that must be equal in the library.

    Args:
        function: the public function's name, for error messages.
        library: the library's module, for error messages.
        sizes: sizes by axis letter.
        unless: descriptions of pairs of axes, or of products of axes, such as `h g`.
    """
    for axes, meaning in unless.items():
        values = [np.prod([sizes[axis] for axis in side.split("*")]) for side in axes.split()]
        if values[0] != values[1]:
            raise ValueError(
                f"{function}: {meaning} are {values[0]} and {values[1]}; {library} holds one size"
            )


def all_biased(arrays: Arrays) -> Arrays:
    """Adds zeros for missing biases if any bias exists: most libraries have all biases or none."""
    if not any(name in arrays for name in BIASES):
        return arrays
    shapes = {
        name: arrays[name.replace("bias", "weight")].shape[: 1 if "output" in name else 2]
        for name in BIASES
    }
    zeros = {
        name: np.zeros(shape, arrays["query_weight"].dtype)
        for name, shape in shapes.items()
        if name not in arrays
    }
    return arrays | zeros


def to_kernels(arrays: Arrays, names: Sequence[str]) -> Weights:
    """Returns `names[0]/kernel` and so on, `q h e` with a head axis, and their `bias`."""
    found = {}
    for part, name in zip(PARTS, names, strict=True):
        weight = arrays[f"{part}_weight"]
        axes = (1, 2, 0) if part == "output" else (2, 0, 1)
        found[f"{name}/kernel"] = weight.transpose(axes)
        if f"{part}_bias" in arrays:
            found[f"{name}/bias"] = arrays[f"{part}_bias"]
    return nested(found)


def from_kernels(function: str, weights: Mapping, names: Sequence[str]) -> MultiHeadParams:
    """Returns the parameters from kernels by name; the inverse of `to_kernels`."""
    axes = {}
    for part, name in zip(PARTS, names, strict=True):
        letters = AXES[f"{part}_weight"].split()
        first = 1 if part == "output" else 2
        axes[f"{name}/kernel"] = " ".join(letters[first:] + letters[:first])
        axes[f"{name}/bias"] = AXES[f"{part}_bias"]
    biases = [f"{name}/bias" for name in names]
    found = taken(function, weights, axes, optional=biases)
    kernels = [found[f"{name}/kernel"] for name in names]
    ordered = [kernel.transpose(1, 2, 0) for kernel in kernels[:3]] + [
        kernels[3].transpose(2, 0, 1)
    ]
    return MultiHeadParams(*ordered, *map(found.get, biases))


def to_matrices(arrays: Arrays, path: Mapping[str, str], *, inputs_first: bool) -> Weights:
    """Returns matrices `h*e q`, or `q h*e` if `inputs_first`, and flat biases.

    Args:
        arrays: the parameters by name.
        path: the path of each weight and bias, by its name in MultiHeadParams.
        inputs_first: whether input features are the first axis.
    """
    found = {}
    for name, array in arrays.items():
        if name.endswith("bias"):
            found[path[name]] = array.reshape(-1)
        else:
            rows = array.shape[0] if name.startswith("output") else -1
            columns = -1 if name.startswith("output") else array.shape[2]
            matrix = array.reshape(rows, columns)
            found[path[name]] = matrix.T if inputs_first else matrix
    return nested(found)


def from_matrices(
    function: str,
    weights: Mapping,
    path: Mapping[str, str],
    *,
    inputs_first: bool,
    heads: int,
    key_value_heads: int | None = None,
) -> MultiHeadParams:
    """Returns the parameters from matrices; the inverse of `to_matrices`.

    Raises:
        ValueError: if heads do not divide a matrix, or an array is missing, unknown or misshapen.
    """
    matrices = {"query": "h*e q", "key": "g*e k", "value": "g*u v", "output": "d h*u"}
    groups = heads if key_value_heads is None else key_value_heads
    for name, count in (("heads", heads), ("key_value_heads", groups)):
        check_count(function, name, count)
    sizes = {"h": heads, "g": groups}
    axes = {}
    for part, matrix in matrices.items():
        rows, columns = matrix.split()
        axes[path[f"{part}_weight"]] = f"{columns} {rows}" if inputs_first else matrix
        axes[path[f"{part}_bias"]] = rows
    biases = [path[name] for name in BIASES]
    found = taken(function, weights, axes, optional=biases, sizes=sizes)
    made = {}
    for name, letters in AXES.items():
        array = found.get(path[name])
        if array is not None:
            array = array.T if inputs_first and array.ndim == 2 else array
            made[name] = array.reshape([sizes[letter] for letter in letters.split()])
    return MultiHeadParams(**made)
