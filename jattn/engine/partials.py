"""Softmax attention to a part of the keys, and what the parts come to together."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


class Grouped(NamedTuple):
    """The arrays of an example, or of a batch of them; `r` query heads share a key-value head."""

    query: Float[Array, "g r t k"]
    key: Float[Array, "g s k"]
    value: Float[Array, "g s v"]
    allowed: Bool[Array, "#g #r t s"]
    bias: Float[Array, "#g #r t s"] | None


class Partial(NamedTuple):
    """Softmax over some keys: its maximum, its sum, and the sum of the values so weighted.

    A row that read no key has sum zero, and its maximum means nothing.
    """

    maximum: Float[Array, "g r t"]
    total: Float[Array, "g r t"]
    context: Float[Array, "g r t v"]


def of_block(arrays: Grouped, cap: float | None) -> Partial:
    """What queries find in a block of keys; slots that none of them may read reach nothing."""
    query, key, value, allowed, bias = arrays
    read = allowed.any((1, 2))[..., None]
    key, value = (jnp.where(read, x, 0.0).astype(query.dtype) for x in (key, value))
    scores = jnp.einsum("grtk,gsk->grts", query, key)
    scores = scores if cap is None else cap * jnp.tanh(scores / cap)
    scores = scores if bias is None else scores + bias
    scores = jnp.where(allowed, scores, 0.0)
    lowest = jnp.finfo(scores.dtype).min  # Finite, so that an empty row stays finite.
    # A constant to derivatives: the context does not depend on it.
    maximum = jax.lax.stop_gradient(scores.max(-1, where=allowed, initial=lowest))
    shifted = jnp.where(allowed, scores - maximum[..., None], 0.0)
    exponentials = jnp.where(allowed, jnp.exp(shifted), 0.0)
    return Partial(maximum, exponentials.sum(-1), jnp.einsum("grts,gsv->grtv", exponentials, value))


def merge(one: Partial, other: Partial) -> Partial:
    mine = jnp.where(one.total == 0.0, other.maximum, one.maximum)
    theirs = jnp.where(other.total == 0.0, mine, other.maximum)
    maximum = jnp.maximum(mine, theirs)
    left, right = jnp.exp(mine - maximum), jnp.exp(theirs - maximum)
    total = left * one.total + right * other.total
    context = left[..., None] * one.context + right[..., None] * other.context
    return Partial(maximum, total, context)


def of_sinks(sinks: Float[Array, "1 g r 1"], found: Partial) -> Partial:
    """One more key for each head, whose score is its sink and whose value is zero."""
    sinks = jnp.broadcast_to(sinks, found.total.shape)
    maximum = jax.lax.stop_gradient(sinks)
    return Partial(maximum, jnp.exp(sinks - maximum), jnp.zeros_like(found.context))
