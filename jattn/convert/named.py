"""Weights under a library's names: nested dicts of arrays, with checks of their axes and dtypes."""

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

Weights = dict[str, Any]
Array = Any  # A NumPy array; the annotations of parameters name JAX arrays.
Arrays = dict[str, Array]
Sizes = dict[str, int]

DTYPES = ("float16", "bfloat16", "float32", "float64")


def nested(arrays: Mapping[str, Array]) -> Weights:
    """Returns nested dicts for arrays whose paths are like `query/kernel`; each array is a copy."""
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
    """Returns the arrays by path, after checking that each has the axes named in `axes`.

    Args:
        function: the public function's name, for error messages.
        weights: nested dict of arrays.
        axes: axes by path, as in `3*n i`.
        optional: paths that may be missing, or None.
        sizes: known sizes by axis letter; sizes that are inferred here are added.

    Raises:
        ValueError: if an array is missing, unknown, of another shape, or not of floating point.
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
        found[path] = array = _floating(function, path, array)
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
    """Returns `weights`, or raises ValueError if it is not a dict."""
    if not isinstance(weights, Mapping):
        raise ValueError(f"{function}: weights is a {type(weights).__name__}, expected a dict")
    return weights


def check_count(function: str, name: str, count: Any) -> None:
    """Raises ValueError unless `count` is an integer of at least 1."""
    if not isinstance(count, int | np.integer) or isinstance(count, bool) or count < 1:
        raise ValueError(f"{function}: {name} is {count!r}, expected an integer of at least 1")


def _flat(
    function: str, weights: Mapping[str, Any], above: str = ""
) -> Iterator[tuple[str, Array]]:
    for name, value in weights.items():
        if isinstance(value, Mapping):
            yield from _flat(function, value, f"{above}{name}/")
        elif value is not None:
            yield f"{above}{name}", _array(f"{function}: {above}{name}", value)


def without_prefix(function: str, weights: Any, prefix: str) -> Weights:
    """Returns the entries whose names begin with `prefix`, without it.

    Raises:
        ValueError: if `weights` is not a dict, or no name begins with `prefix`.
    """
    weights = mapping(function, weights)
    if not isinstance(prefix, str):
        raise ValueError(f"{function}: prefix is {prefix!r}, expected a string")
    if not prefix:
        return dict(weights)
    found = {
        name.removeprefix(prefix): value
        for name, value in weights.items()
        if isinstance(name, str) and name.startswith(prefix)
    }
    if not found:
        names = ", ".join(map(str, list(weights)[:8])) or "no names"
        raise ValueError(
            f"{function}: no name begins with {prefix!r} (prefix), weights has {names}"
        )
    return found


def _array(place: str, value: Any) -> Array:
    """Returns a NumPy copy of an array of NumPy, JAX or PyTorch."""
    if type(value).__module__.partition(".")[0] == "torch":
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":  # NumPy's conversion refuses it; this is exact.
            return value.float().numpy().astype("bfloat16")
        return np.array(value.numpy())
    try:
        return np.array(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{place} is a {type(value).__name__}, expected an array") from error


def _floating(function: str, path: str, array: Array) -> Array:
    """Returns `array` in native byte order; raises ValueError unless it is of floating point."""
    if array.dtype.kind == "f":
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.name not in DTYPES:
        small = " of at least 16 bits" * array.dtype.name.startswith(("float4", "float6", "float8"))
        raise ValueError(
            f"{function}: {path} has dtype {array.dtype}, expected a floating-point dtype{small}"
        )
    return array


def _fits(axis: str, size: int, sizes: Sizes) -> bool:
    """Returns whether `size` is the product named by `axis`; infers one unknown factor."""
    factors = axis.split("*")
    unknown = [name for name in factors if not name.isdigit() and name not in sizes]
    known = prod(int(name) if name.isdigit() else sizes.get(name, 1) for name in factors)
    if not unknown:
        return size == known
    if size % known:
        return False
    sizes[unknown[0]] = size // known
    return True
