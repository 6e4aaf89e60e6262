"""Weights under a library's names: dicts of dicts of arrays, whose axes are checked."""

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

Weights = dict[str, Any]
Array = Any  # Of NumPy, where parameters are annotated as arrays of JAX.
Arrays = dict[str, Array]
Sizes = dict[str, int]


def nested(arrays: Mapping[str, Array]) -> Weights:
    """Arrays by path, such as `query/kernel`, as dicts of dicts; each array is a copy."""
    tree: Weights = {}
    for path, array in arrays.items():
        *above, name = path.split("/")
        place = tree
        for part in above:
            place = place.setdefault(part, {})
        place[name] = np.array(array, order="C")
    return tree


def taken(
    function: str,
    weights: Mapping[str, Any],
    axes: Mapping[str, str],
    *,
    optional: Sequence[str] = (),
    sizes: Sizes | None = None,
) -> Arrays:
    """The arrays by path, each of the axes that `axes` names; a name outside it is refused.

    Args:
        function: who asks, for the message of an error.
        axes: as in `3*n i`; `sizes` holds what is known of them, and what is found is added.
        optional: paths that may be missing, or None.

    Raises:
        ValueError: an array is missing, unknown, or its shape is another one.
    """
    found = dict(_flat(function, mapping(function, weights)))
    sizes = {} if sizes is None else sizes
    for path in axes:
        if path not in found and path not in optional:
            raise ValueError(f"{function}: {path} is missing, expected {', '.join(axes)}")
    for path in found:
        if path not in axes:
            raise ValueError(f"{function}: {path} is unknown, expected {', '.join(axes)}")
    found = {path: found[path] for path in axes if path in found}
    for path, array in found.items():
        if array.dtype.kind in "?biucOSU":
            raise ValueError(
                f"{function}: {path} has dtype {array.dtype}, expected a floating-point dtype"
            )
        wanted, known = axes[path].split(), dict(sizes)
        if array.ndim != len(wanted) or not all(
            _fits(axis, size, sizes) for axis, size in zip(wanted, array.shape, strict=True)
        ):
            given = [f"{name}={size}" for name, size in known.items() if name in axes[path]]
            raise ValueError(
                f"{function}: {path} has shape {array.shape}, expected ({', '.join(wanted)})"
                + (f" with {', '.join(given)}" if given else "")
            )
    return found


def mapping(function: str, weights: Any) -> Mapping[str, Any]:
    """The same, or ValueError if it is no dict."""
    if not isinstance(weights, Mapping):
        raise ValueError(f"{function}: weights is a {type(weights).__name__}, expected a dict")
    return weights


def check_count(function: str, name: str, count: Any) -> None:
    """Raises ValueError unless it is an integer of at least 1."""
    if not isinstance(count, int | np.integer) or isinstance(count, bool) or count < 1:
        raise ValueError(f"{function}: {name} is {count!r}, expected an integer of at least 1")


def _flat(
    function: str, weights: Mapping[str, Any], above: str = ""
) -> Iterator[tuple[str, Array]]:
    for name, value in weights.items():
        if isinstance(value, Mapping):
            yield from _flat(function, value, f"{above}{name}/")
        elif value is not None:
            yield f"{above}{name}", np.array(value)


def _fits(axis: str, size: int, sizes: Sizes) -> bool:
    """Whether `size` is the product that `axis` names; one factor may be learnt from it."""
    factors = axis.split("*")
    unknown = [name for name in factors if not name.isdigit() and name not in sizes]
    known = prod(int(name) if name.isdigit() else sizes.get(name, 1) for name in factors)
    if not unknown:
        return size == known
    if size % known:
        return False
    sizes[unknown[0]] = size // known
    return True
