"""Guided attention: Tachibana, Uenoyama & Aihara (2018), arXiv:1710.08969."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jattn._options import Positive, check_length
from jattn.mechanism import at_least_float32, named_axes

Length = int | Int[Array, ""] | None


@named_axes
@at_least_float32
def guided_attention_loss(
    weights: Float[Array, "t s"],
    *,
    width: Positive = 0.2,
    query_length: Length = None,
    key_length: Length = None,
) -> Float[Array, ""]:
    """Returns the mean of weights times their distance from the diagonal.

        loss = mean over t, s of weights[t, s] (1 - exp(-(s / s_size - t / t_size)² / (2 width²)))

    The paper names these A_nt, W_nt, N, T and g. It is added to the loss of the outputs, so that
    weights of text and speech, which run in parallel, become diagonal early in training. Places
    count from 0, and the mean is over all valid pairs.

    Args:
        weights: of any mechanism.
        width: of the band around the diagonal, as a part of the length.
        query_length: number of valid queries, all of them by default.
        key_length: number of valid keys, all of them by default.

    Raises:
        ValueError: if width is not above zero, or a length is negative or too long.
    """
    check_length("guided_attention_loss: query_length", query_length, weights.shape[0], "t")
    check_length("guided_attention_loss: key_length", key_length, weights.shape[1], "s")
    queries, is_query = _parts(weights.shape[0], query_length, weights.dtype)
    keys, is_key = _parts(weights.shape[1], key_length, weights.dtype)
    distance = keys[None] - queries[:, None]
    penalty = -jnp.expm1(-(distance**2) / (2.0 * width**2))
    valid = is_query[:, None] & is_key[None]
    count = valid.sum(dtype=weights.dtype)
    total = (jnp.where(valid, weights, 0.0) * penalty).sum()
    return total / jnp.where(count == 0.0, 1.0, count)


def _parts(size, length, dtype):
    """Returns each place as a part of the length, and which are valid."""
    places = jnp.arange(size)
    length = jnp.asarray(size if length is None else length)
    parts = places.astype(dtype) / jnp.where(length == 0, 1, length).astype(dtype)
    return parts, places < length.astype(places.dtype)
