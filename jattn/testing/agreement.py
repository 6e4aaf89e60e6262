"""Checks that a function and its oracle fit together, made before any number is compared."""

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Tree = Any
Pullback = Callable[[Tree], tuple[Tree, ...]]
Oracle = Callable[..., tuple[Tree, Pullback]]


class Agreement(NamedTuple):
    """The oracle's output and pullback, and the shapes that the function returns."""

    expected: Tree
    pullback: Pullback
    shapes: Tree


def agreement(
    part: str, function: Callable[..., Tree], oracle: Oracle, inputs: tuple[Tree, ...]
) -> Agreement:
    """Runs the oracle, and compares the shapes of its output with those of the function.

    The pullback that is returned checks its own result.

    Raises:
        ValueError: naming `part`, if the oracle returns no (output, pullback), or if function and
            oracle differ in the number or the shapes of their arrays.
    """
    result = oracle(*inputs)
    if not (isinstance(result, tuple) and len(result) == 2 and callable(result[1])):
        raise ValueError(
            f"{part}: oracle returns {_kind(result)}, expected (output, pullback), as jax.vjp does"
        )
    expected, pullback = result
    shapes = jax.eval_shape(function, *inputs)
    _check_shapes(f"{part}: function returns", shapes, expected, "its oracle")
    for path, leaf in jax.tree.leaves_with_path(shapes):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            name = jax.tree_util.keystr(path) or "its result"
            raise ValueError(
                f"{part}: function returns dtype {leaf.dtype} at {name}, "
                "expected a floating-point dtype"
            )

    def checked_pullback(cotangent: Tree) -> tuple[Tree, ...]:
        gradient = pullback(cotangent)
        _check_shapes(f"{part}: the oracle's pullback returns", gradient, inputs, "its inputs")
        return gradient

    return Agreement(expected, checked_pullback, shapes)


def _check_shapes(says: str, actual: Tree, expected: Tree, source: str) -> None:
    leaves, wanted = jax.tree.leaves_with_path(actual), jax.tree.leaves(expected)
    if len(leaves) != len(wanted):
        raise ValueError(f"{says} {_arrays(len(leaves))}, expected {len(wanted)} as {source}")
    for (path, leaf), want in zip(leaves, wanted, strict=True):
        if np.shape(leaf) != np.shape(want):
            name = jax.tree_util.keystr(path) or "its result"
            raise ValueError(
                f"{says} shape {np.shape(leaf)} at {name}, expected {np.shape(want)} as {source}"
            )


def _arrays(count: int) -> str:
    return f"{count} array{'s' * (count != 1)}"


def _kind(value: Any) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return f"a {type(value).__name__}"


def as_float64(part: str, inputs: Sequence[Tree]) -> tuple[Tree, ...]:
    """Returns the inputs as arrays of float64.

    Raises:
        ValueError: naming `part`, if `inputs` is no sequence of trees of real numbers.
    """
    if hasattr(inputs, "shape") or not isinstance(inputs, Sequence) or isinstance(inputs, str):
        kind = type(inputs).__name__
        raise ValueError(f"{part}: inputs is a {kind}, expected a sequence of arrays")
    if not jax.tree.leaves(inputs):
        raise ValueError(f"{part}: inputs is empty, expected at least one array")

    def convert(path: Any, leaf: Any) -> np.ndarray:
        name = f"inputs{jax.tree_util.keystr(path)}"
        array = np.asarray(leaf)
        if array.dtype.kind in "cmMOSU":
            raise ValueError(f"{part}: {name} has dtype {array.dtype}, expected real numbers")
        return array.astype(np.float64)

    # A tuple, so that a NamedTuple of arrays counts as several inputs too.
    return jax.tree.map_with_path(convert, tuple(inputs))


def check_number(part: str, argument: str, value: Any, *, above: bool = False) -> None:
    """Raises ValueError unless `value` is a finite number of at least 0, or above 0."""
    number = isinstance(value, numbers.Real) and math.isfinite(value)
    if not number or value < 0 or (above and value == 0):
        expected = "a finite number above 0" if above else "a finite number of at least 0"
        raise ValueError(f"{part}: {argument} is {value!r}, expected {expected}")
