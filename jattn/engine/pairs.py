"""Pairs of a block that count, and the layout of arrays of pairs and heads in it."""

from functools import reduce
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key

from jattn._dropout import kept_pairs
from jattn.masks.algebra import Mask, all_of
from jattn.masks.spans import Interval, interval


class DropoutKey(NamedTuple):
    """The key that dropout draws from, and the numbers of a block's heads."""

    rng: Key[Array, ""]
    heads: Int[Array, " r"]  # batch × heads + head


class Operands(NamedTuple):
    """Differentiable inputs. In a block the r heads are stacked along the rows, c = r t.

    For a head queries are [r t k]; for a batch of them all have more axes, but for the scale.
    """

    query: Float[Array, "c k"]
    key: Float[Array, "s k"]
    value: Float[Array, "s v"]
    bias: Float[Array, "r t s"] | None = None  # Axes may have size 1.
    sinks: Float[Array, " r"] | None = None
    scale: Any = None


class Setting(NamedTuple):
    """Inputs without derivatives: visibility, dropout's key, and the position of a block."""

    mask: Mask | None
    array: Bool[Array, "r t s"] | None  # Axes may have size 1.
    dropout: DropoutKey | None = None
    first_query: Any = None
    first_key: Any = None
    seen: Interval | None = None  # Where each query's keys lie, if blocks are cut down to them.


class Static(NamedTuple):
    """Numbers that are known before the run."""

    heads: int
    cap: float | None
    dropout_rate: float


def product(left: Any, right: Any, left_axis: int, right_axis: int) -> Any:
    """The product of two matrices over the given axes; JAX transposes it without a detour."""
    return lax.dot_general(left, right, (((left_axis,), (right_axis,)), ((), ())))


def scores_of(static: Static, operands: Operands, setting: Setting) -> tuple[Any, Any]:
    """Scores [c s], and which pairs are allowed: None if all are."""
    scores = product(scaled(operands), operands.key, 1, 1)
    if static.cap is not None:
        scores = static.cap * jnp.tanh(scores / static.cap)
    if operands.bias is not None:
        scores = scores + spread(finite(operands.bias), static, operands)
    return rounded(scores), allowed_of(static, operands, setting)


def rounded(scores: Any) -> Any:
    """Returns finite scores as they are, so that XLA cannot contract `x * c - maximum`.

    With one rounding for both, the largest score would differ from the maximum.
    """
    return jnp.maximum(scores, jnp.finfo(scores.dtype).min)


def scaled(operands: Operands) -> Any:
    """Queries are scaled and not scores: a product too large for the dtype then counts only if the
    score itself is."""
    return operands.query if operands.scale is None else operands.query * operands.scale


def _places(static: Static, operands: Operands, setting: Setting) -> tuple[Any, Any]:
    """The positions of the block's queries and of its keys."""
    queries, keys = len(operands.query) // static.heads, len(operands.key)
    return setting.first_query + jnp.arange(queries), setting.first_key + jnp.arange(keys)


def finite(bias: Any) -> Any:
    """A bias of -inf is a mask; where that holds no sum is taken."""
    return jnp.where(bias == -jnp.inf, 0.0, bias)


def allowed_of(static: Static, operands: Operands, setting: Setting) -> Any:
    if setting.mask is setting.array is operands.bias is None:
        return None
    given = (setting.mask, setting.array, operands.bias)
    return _rows(pairs_allowed(*given, *_places(static, operands, setting), static.heads))


def pairs_allowed(
    mask: Mask | None,
    array: Bool[Array, "r t s"] | None,
    bias: Float[Array, "r t s"] | None,
    queries: Int[Array, " t"],
    keys: Int[Array, " s"],
    heads: int,
) -> Bool[Array, "r t s"]:
    """True where a query may see a key: by the mask, the array, and a bias that is not -inf."""
    known = [] if mask is None else [_seen(mask, queries[:, None], keys[None, :])[None]]
    known += [] if array is None else [array]
    known += [] if bias is None else [bias != -jnp.inf]
    shape = (heads, len(queries), len(keys))
    return reduce(jnp.logical_and, [jnp.broadcast_to(pairs, shape) for pairs in known])


def _seen(mask: Mask, queries: Int[Array, "t 1"], keys: Int[Array, "1 s"]) -> Bool[Array, "t s"]:
    """The mask of a block; of several rules that are intervals, their common interval."""
    found = interval(mask, queries, jnp.iinfo(keys.dtype).max, jnp) if mask.rule is all_of else None
    if found is None:
        return mask.at(queries, keys)
    return (keys >= found.start) & (keys < found.stop)


def kept_of(static: Static, operands: Operands, setting: Setting) -> Float[Array, "c s"]:
    """Returns the factors of dropout for the weights: zero or 1 / (1 - rate)."""
    assert setting.dropout is not None
    places = _places(static, operands, setting)
    rng, heads = setting.dropout
    kept = _rows(kept_pairs(rng, static.dropout_rate, heads, *places))
    return kept.astype(operands.query.dtype) / (1.0 - static.dropout_rate)


def spread(pairs: Any, static: Static, operands: Operands) -> Any:
    """`pairs [r t s]`, of whose axes some may be 1, as [c s]."""
    shape = (static.heads, len(operands.query) // static.heads, len(operands.key))
    return _rows(jnp.broadcast_to(pairs, shape))


def _rows(pairs: Any) -> Any:
    return pairs.reshape(pairs.shape[0] * pairs.shape[1], pairs.shape[2])


def over_queries(sinks: Any, static: Static, operands: Operands) -> Any:
    """One number a head, for each of its queries."""
    if sinks is None:
        return None
    queries = len(operands.query) // static.heads
    return jnp.broadcast_to(sinks[:, None], (len(sinks), queries)).reshape(-1)
