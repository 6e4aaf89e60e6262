"""Scores of a row that count, and the types of normalizers."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jattn.masks.algebra import Mask, as_array

Scores = Float[Array, "t s"]
Weights = Float[Array, "t s"]
Counts = Float[Array, "1 s"]
Allowed = Bool[Array, "t s"] | Mask | None
Normalizer = Callable[[Scores, Allowed], Weights]


def counted(scores: Scores, mask: Allowed) -> tuple[Bool[Array, "t s"], Scores]:
    """Returns which scores count, and finite numbers in place of those that do not."""
    mask = as_array(mask, *scores.shape)
    scores = scores if mask is None else jnp.where(mask, scores, 0.0)
    infinite = scores < jnp.finfo(scores.dtype).min
    return ~infinite if mask is None else mask & ~infinite, finite(scores)


def finite(scores: Scores) -> Scores:
    """Returns the scores with the lowest number in place of -inf.

    The select also keeps XLA from contracting `x * c - maximum` into one rounding, where `maximum`
    was rounded twice: the largest difference would be half an ulp instead of zero, and its
    exponential infinite.
    """
    lowest = jnp.finfo(scores.dtype).min
    return jnp.where(scores < lowest, lowest, scores)


def largest_of(scores: Scores, mask: Bool[Array, "t s"]) -> Float[Array, "t 1"]:
    """Returns the largest allowed score, a constant to derivatives: no weight depends on it."""
    lowest = jnp.finfo(scores.dtype).min  # Finite, so that an empty row stays finite.
    allowed = jnp.where(mask, scores, lowest)
    return lax.stop_gradient(allowed.max(-1, keepdims=True, initial=lowest))


def size_of(mask: Bool[Array, "t s"], dtype: Any) -> Float[Array, "t 1"]:
    """Returns the number of scores of each row that count, 1 in a row without any."""
    size = mask.astype(dtype).sum(-1, keepdims=True)
    return jnp.where(size == 0.0, 1.0, size)
