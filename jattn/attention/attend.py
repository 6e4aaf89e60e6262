"""Steps that every score-based mechanism shares: before scoring and after it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jattn._naming import named_value
from jattn.masks.algebra import Mask, as_array
from jattn.normalizers import Normalizer

Bias = Float[Array, "t s"] | None
MaskLike = Bool[Array, "t s"] | Mask | None


class Attended(NamedTuple):
    """Contexts and weights of a mechanism; under `jax.jit` an unused field costs nothing."""

    context: Float[Array, "t v"]
    weights: Float[Array, "t s"]


class Readable(NamedTuple):
    """Queries, keys, values and bias, with zero in the places that no query may attend to."""

    query: Any
    key: Any
    value: Any
    bias: Float[Array, "*h t s"] | None
    allowed: Bool[Array, "*h t s"] | None


def readable(
    query: Any,
    key: Any,
    value: Any,
    mask: MaskLike,
    bias: Float[Array, "*h t s"] | None,
) -> Readable:
    """Zeroes keys and values that no query may attend to, and queries that may attend to no key.

    NaN and infinity in padding would otherwise reach values and gradients. A bias of -inf is a
    mask. The result's `allowed` is None where every query may attend to every key.

    Args:
        query: [t q], or a tree of arrays along t, such as queries with a number for each.
        key: [s k], or a tree of arrays along s.
        value: [s v], or a tree of arrays along s.
        mask: True where a query may attend to a key.
        bias: added to the scores.
    """
    t, s = (jax.tree.leaves(tree)[0].shape[0] for tree in (query, value))
    allowed, bias = allowed_pairs(mask, bias, t, s)
    if allowed is not None:
        *heads, queries, keys = range(allowed.ndim)
        query = _zero_others(lax.reduce_or(allowed, (*heads, keys)), query)
        is_read = lax.reduce_or(allowed, (*heads, queries))
        key, value = _zero_others(is_read, key), _zero_others(is_read, value)
    return Readable(query, key, value, bias, allowed)


def allowed_pairs(
    mask: MaskLike, bias: Float[Array, "*h t s"] | None, t: int, s: int
) -> tuple[Bool[Array, "*h t s"] | None, Float[Array, "*h t s"] | None]:
    """Returns the pairs that mask and bias allow, None for all, and the bias with zeros elsewhere.

    A bias of -inf is a mask.
    """
    allowed = as_array(mask, t, s)
    if bias is not None:
        finite = ~(bias < jnp.finfo(bias.dtype).min)  # Without the number that debug_infs reports.
        allowed = finite if allowed is None else jnp.broadcast_to(allowed, bias.shape) & finite
        bias = jnp.where(allowed, bias, 0.0)
    if allowed is not None:
        allowed = lax.stop_gradient(allowed)  # A boolean: Taylor mode has to be told.
    return allowed, bias


def _zero_others(kept: Bool[Array, " t"], rows: Any) -> Any:
    """Zeroes the rows that are not kept, in each array of a tree."""
    shaped = lambda array: kept.reshape(-1, *(1,) * (array.ndim - 1))
    return jax.tree.map(lambda array: jnp.where(shaped(array), array, 0.0), rows)


def attend(
    scores: Float[Array, "t s"],
    value: Float[Array, "s v"],
    allowed: Bool[Array, "t s"] | None,
    bias: Bias,
    normalizer: Normalizer,
    dropped: Float[Array, "t s"] | None = None,
) -> Attended:
    """Returns the mean of `value` with the weights that `normalizer` makes of scores and bias.

    The mean uses the product of the weights and `dropped`, if that is given. The weights that are
    returned are those before dropout.

    Args:
        scores: right where `allowed` is True; other entries influence nothing.
        value: rows that no query may attend to are zero, as `readable` returns them.
        allowed: True where a query may attend to a key; None where every query may.
        bias: added to the scores; without -inf, as `readable` returns it.
        normalizer: maps scores and `allowed` to weights, a row at a time.
        dropped: factors of the weights, as dropout draws them.

    Raises:
        ValueError: if `normalizer` returns no array of the shape of the scores.
    """
    scores = named_value(scores, "score/scores")
    scores = scores if bias is None else named_value(scores + bias, "score/biased")
    if allowed is not None:
        scores = jnp.where(allowed, scores, 0.0)
    weights = normalizer(scores, allowed)
    if getattr(weights, "shape", None) != scores.shape:
        returned = getattr(weights, "shape", type(weights).__name__)
        raise ValueError(f"attend: normalizer returned {returned}, expected {scores.shape} (t, s)")
    weights = named_value(weights, "weight/weights")
    kept = weights if dropped is None else weights * dropped
    context = named_value(jnp.einsum("ts,sv->tv", kept, value), "decode/context")
    return Attended(context, weights)
