"""Random trees, inner products, and one tree's leaves in another's structure."""

from typing import Any

import jax
import numpy as np

Tree = Any


def draw_like(tree: Tree, seed: int) -> Tree:
    """Returns standard normal arrays of the same shapes, in float64."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: rng.standard_normal(np.shape(leaf)), tree)


def like(structure: Tree, leaves: Tree) -> Tree:
    """Returns the leaves of one tree in the structure of another, such as that of a NamedTuple."""
    return jax.tree.unflatten(jax.tree.structure(structure), jax.tree.leaves(leaves))


def inner(left: Tree, right: Tree) -> Any:
    """Returns the sum of the products of all entries."""
    pairs = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    return sum((a * b).sum() for a, b in pairs)


def norm(tree: Tree) -> float:
    """Returns the Euclidean norm of all entries."""
    return float(
        np.sqrt(sum(float((np.asarray(leaf) ** 2).sum()) for leaf in jax.tree.leaves(tree)))
    )
