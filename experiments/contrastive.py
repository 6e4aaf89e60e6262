"""Retrieval learned from pairs: the loss of a table of scores, and recall."""

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

FOUND = (1, 5, 10)


def both_ways(logits: Float[Array, "n n"]) -> Float[Array, ""]:
    """Returns the mean cross entropy of finding the diagonal in each row and in each column.

    CLIP (Radford et al. 2021, arXiv:2103.00020, figure 3) trains with this loss.
    """
    index = jnp.arange(len(logits))
    entropy = optax.losses.softmax_cross_entropy_with_integer_labels
    return 0.5 * (entropy(logits, index).mean() + entropy(logits.T, index).mean())


def ranks(scores: np.ndarray) -> np.ndarray:
    """Returns the rank of each row's own column, that of the diagonal; 1 for the first.

    Equal scores count as ahead of it, so a model that gives one score to all finds nothing.
    """
    return (scores >= np.diagonal(scores)[:, None]).sum(1)


def recall(ranks: np.ndarray) -> dict[int, float]:
    """Returns the share of queries whose answer is among the first 1, 5 and 10."""
    return {most: float((ranks <= most).mean()) for most in FOUND}
