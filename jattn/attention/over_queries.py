"""Normalizers over the other axis of scores, for mechanisms that read both axes."""

from typing import Any

from jattn.normalizers import Normalizer, softmax


def over_queries(normalizer: Normalizer = softmax) -> Normalizer:
    """Returns the normalizer that maps columns of scores, so that the queries share each key.

        >>> import jax.numpy as jnp
        >>> import jattn
        >>> print(jattn.over_queries(jattn.softmax)(jnp.zeros((4, 2)))[:, 0])
        [0.25 0.25 0.25 0.25]

    A score matrix of two sequences has a distribution along each axis: the normalizer's own along
    the keys, this one along the queries.
    """

    def normalize(scores: Any, mask: Any = None) -> Any:
        return normalizer(scores.T, None if mask is None else mask.T).T

    return normalize
