"""Runners of functions of any library, rows of measurements, and errors."""

import importlib
import importlib.metadata
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.differences.libraries import LIBRARIES
from jattn import MultiHeadParams, convert

Function = Callable[..., Any]


class Runner(NamedTuple):
    """One function: `run(*arrays, fixed, cotangent)` returns its output and its gradients."""

    run: Function
    compiled: Function | None = None


class Unsupported(Exception):
    """A measurement that a library has no interface for; the message is its cell in the table."""


def by_jax(function: Function) -> Runner:
    """Returns a runner with gradients with respect to every argument except the last."""

    def run(*arguments, cotangent):
        *arrays, fixed = arguments
        output, pullback = jax.vjp(lambda *inputs: function(*inputs, fixed), *arrays)
        # Keras converts float64 to float32, and its cotangent has to follow.
        cast = lambda array, like: np.asarray(array, like.dtype)
        return output, pullback(jax.tree.map(cast, cotangent, output))

    return Runner(run, jax.jit(function))


def of_scores(function: Function) -> Function:
    """Compiles the weights of scores that are the product of an array and a constant."""
    return lambda array, factor: jax.jit(lambda array: function(array * factor))(array)


def one_head(function: Function) -> Runner:
    """Returns a runner of a JAX function of `b t h k` arrays and a mask `b h t s`."""

    def attention(query, key, value, mask):
        batched = (array[None, :, None] for array in (query, key, value))
        return function(*batched, mask=mask[None, None])[0, :, 0]

    return by_jax(attention)


def converted(run: Function, library: str) -> Runner:
    """Returns a runner of a GRU that converts weights to its library, and gradients back."""
    to, back = (getattr(convert, f"gru_{way}_{library}") for way in ("to", "from"))

    def of_params(params, *arguments, cotangent):
        try:
            weights = to(params)
        except ValueError:
            raise Unsupported("none, refused") from None
        output, gradients = run(weights, *arguments, cotangent=cotangent)
        return output, gradients and (back(gradients[0]), *gradients[1:])

    return Runner(of_params)


def identity(size: int, dtype: Any) -> MultiHeadParams:
    """Returns one head with identity projections, for libraries that include projections."""
    square: Any = np.eye(size, dtype=dtype)
    return MultiHeadParams(square[None], square[None], square[None], square[:, None])


def rows_of(library: str, kind: str, columns: Mapping[str, Function]) -> list[dict[str, str]]:
    """Returns one row for each function of a library; a cell names what its measurement raised."""
    try:
        module = importlib.import_module(f"experiments.differences.libraries.{library}_functions")
    except ImportError:
        return [{"library": library, "version": "not installed"}]
    version = version_of(LIBRARIES[library])
    return [
        {"library": name, "version": version}
        | {column: cell(measure, runner) for column, measure in columns.items()}
        for name, runner in getattr(module, kind, {}).items()
    ]


def cell(measure: Function, runner: Runner) -> str:
    try:
        return measure(runner)
    except Unsupported as missing:
        return str(missing)
    except Exception as error:  # Each library has exceptions of its own.
        return f"raises {type(error).__name__}"


def version_of(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "of the checkout"


def leaves(tree: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def scaled_error(actual: Any, expected: Any) -> float:
    """Returns the largest difference in any array, divided by that array's largest entry."""
    pairs = zip(leaves(actual), leaves(expected), strict=True)
    return max(float(abs(got - wanted).max() / abs(wanted).max()) for got, wanted in pairs)


def errors(actual: tuple, expected: tuple) -> str:
    """Returns errors of the output and, where the library has them, of the gradients."""
    value = f"{scaled_error(actual[0], expected[0]):.0e}"
    if actual[1] is None:
        return f"{value}, no gradient"
    return f"{value}, gradient {scaled_error(actual[1], expected[1]):.0e}"


def what_poison_reaches(clean: tuple, poisoned: tuple) -> str:
    """Returns where NaN that no query may read appears, given both runs' output and gradients."""
    output_differs = any(
        not np.allclose(got, wanted, rtol=1e-6, atol=1e-6)
        for got, wanted in zip(leaves(poisoned[0]), leaves(clean[0]), strict=True)
    )
    gradient_differs = any(np.isnan(leaf).any() for leaf in leaves(poisoned[1]))
    reached = ["output"] * output_differs + ["gradients"] * gradient_differs
    return " and ".join(reached) or ("nothing" if poisoned[1] is not None else "not the output")
