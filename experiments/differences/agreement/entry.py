"""Entries of the comparison: one function of a library and jattn's, on the same random inputs."""

import importlib.metadata
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.differences.measures import leaves

Draw = Callable[[np.random.Generator], np.ndarray]
Run = Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], tuple[list, list | None]]
BOUND = 1e-6


class Entry(NamedTuple):
    """A function of a library that computes a mechanism of jattn.

    Args:
        mechanism: name of the row in the catalog.
        library: its distribution.
        function: name in the library.
        inputs: draws of the arrays that both functions take and are differentiated in.
        ours: the function in JAX, which returns an array or a tree of arrays.
        theirs: `run(inputs, cotangents)`, which returns outputs and gradients: see `by_torch`.
        note: conversion between the conventions, if there is one.
        differs: says what the library computes instead; empty where both agree.
    """

    mechanism: str
    library: str
    function: str
    inputs: tuple[Draw, ...]
    ours: Callable[..., Any]
    theirs: Run
    note: str = ""
    differs: str = ""

    @property
    def name(self) -> str:
        return (
            f"{self.mechanism}, {self.library} {self.function}{' (differs)' * bool(self.differs)}"
        )


def normal(*shape: int, scale: float = 1.0) -> Draw:
    return lambda rng: scale * rng.standard_normal(shape)


def shares(*shape: int) -> Draw:
    """Draws numbers between 1/10 and 9/10, such as decays."""
    return lambda rng: rng.uniform(0.1, 0.9, shape)


def units(*shape: int) -> Draw:
    """Draws vectors of length one along the last axis."""

    def draw(rng):
        vectors = rng.standard_normal(shape)
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)

    return draw


class Agreement(NamedTuple):
    """The largest errors of values and of gradients, None where a library has no gradients."""

    values: float
    gradients: float | None

    @property
    def largest(self) -> float:
        return max(self.values, self.gradients or 0.0)


def measure(entry: Entry) -> Agreement:
    """Computes both functions and their gradients for one random cotangent, in float64."""
    rng = np.random.default_rng(0)
    inputs = [draw(rng) for draw in entry.inputs]
    if not inputs:  # Such as frequencies, which depend on numbers alone.
        return Agreement(error(entry.theirs([], [])[0], entry.ours()), None)
    outputs, pullback = jax.vjp(jax.jit(entry.ours), *inputs)
    cotangents = jax.tree.map(lambda output: rng.standard_normal(output.shape), outputs)
    expected = pullback(cotangents)
    actual, gradients = entry.theirs(inputs, jax.tree.leaves(cotangents))
    if gradients is None:
        return Agreement(error(actual, outputs), None)
    return Agreement(error(actual, outputs), error(gradients, expected))


def error(actual: Any, expected: Any) -> float:
    """Returns the largest difference in any array over that array's largest entry.

    Arrays of zeros count absolutely. A NaN is an infinite error.
    """
    largest = 0.0
    for got, wanted in zip(leaves(actual), leaves(expected), strict=True):
        if got.shape != wanted.shape:
            raise ValueError(f"shape {got.shape} of the library, {wanted.shape} of jattn")
        if got.dtype != np.float64 or wanted.dtype != np.float64:
            raise TypeError(f"{got.dtype} of the library, {wanted.dtype} of jattn")
        if got.size:
            difference = float(abs(got - wanted).max() / (abs(wanted).max() or 1.0))
            largest = max(largest, difference if difference == difference else np.inf)
    return largest


def by_numpy(function: Callable[..., Any]) -> Run:
    """Runs a function of arrays of NumPy, which has no gradients."""
    return lambda inputs, cotangents: (leaves(function(*inputs)), None)


def version_of(library: str) -> str | None:
    """Returns the version of a library, None where it is not installed."""
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None
