"""Random trees, inner products, and one tree's leaves in another's structure."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

Tree = Any


def draw_like(tree: Tree, seed: int) -> Tree:
    """Standard normal arrays of the same shapes, float64."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: rng.standard_normal(np.shape(leaf)), tree)


def output_of(function: Callable[..., Tree], inputs: tuple) -> Tree:
    """Shapes and structure of what `function` returns."""
    return jax.eval_shape(function, *inputs)


def like(structure: Tree, leaves: Tree) -> Tree:
    """The leaves of one tree in the structure of another: an oracle's tuple as a NamedTuple."""
    return jax.tree.unflatten(jax.tree.structure(structure), jax.tree.leaves(leaves))


def inner(left: Tree, right: Tree) -> Any:
    """The sum of products of all entries."""
    pairs = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    return sum((a * b).sum() for a, b in pairs)


def norm(tree: Tree) -> float:
    return float(
        np.sqrt(sum(float((np.asarray(leaf) ** 2).sum()) for leaf in jax.tree.leaves(tree)))
    )
