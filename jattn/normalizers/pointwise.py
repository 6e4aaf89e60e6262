"""Weights that depend on their own score alone, and on the number of scores."""

import jax
import jax.numpy as jnp

from jattn._axes import named_axes
from jattn._precision import at_least_float32
from jattn.normalizers.counted import Allowed, Scores, Weights, counted, size_of


@named_axes
@at_least_float32
def sigmoid(scores: Scores, mask: Allowed = None) -> Weights:
    """Returns the logistic function of each score: weights[s] = 1 / (1 + exp(-scores[s])).

    Rows do not sum to one. Source: Ramapuram et al. (2024), arXiv:2409.04431, who add a bias of
    -log(number of keys) to the scores: pass it as `bias`.

    Raises:
        ValueError: if scores and mask disagree about an axis, or the mask is not boolean.
    """
    mask, scores = counted(scores, mask)
    return jnp.where(mask, jax.nn.sigmoid(scores), 0.0)


@named_axes
@at_least_float32
def scaled_relu(scores: Scores, mask: Allowed = None) -> Weights:
    """Returns the positive part of each score over the number of scores: max(scores[s], 0) / n.

    n is the number of scores of the row that count. Rows do not sum to one. Source: Wortsman et al.
    (2023), arXiv:2309.08586, who divide by the sequence length L.

    Raises:
        ValueError: if scores and mask disagree about an axis, or the mask is not boolean.
    """
    mask, scores = counted(scores, mask)
    return jnp.where(mask & (scores > 0.0), scores, 0.0) / size_of(mask, scores.dtype)
