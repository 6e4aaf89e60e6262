"""Scores of a tile: from the products of queries and keys, with which pairs are seen and kept."""

import functools
from collections.abc import Callable
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jattn._dropout import kept_pairs
from jattn.engine.operands import At, Hidden, Operands, Pairs, Place, Score, Settings
from jattn.engine.visibility import at_positions


def scored(
    settings: Settings,
    operands: Operands,
    hidden: Hidden,
    place: Place,
    products: Float[Array, "_ _"],
    keys_down: bool = False,
) -> Float[Array, "_ _"]:
    """The products of queries and keys with cap or score function, and bias.

    They lie as [c s], or as [s c] where keys are down.
    """
    scores = products
    if settings.cap is not None:
        scores = settings.cap * jnp.tanh(scores / settings.cap)
    functions = settings.functions
    if functions is not None and functions.score is not None:
        scores = called(functions.score, settings, operands, hidden, place, scores, keys_down)
    pairs = pairs_of(settings, operands)
    if operands.bias is not None:
        bias = pairs.rows(_finite(operands.bias))
        scores = scores + (bias.T if keys_down else bias)
    if operands.distances is not None:
        scores = scores + _of_distances(pairs, operands.distances, keys_down)
    return scores


def called(
    function: Score,
    settings: Settings,
    operands: Operands,
    hidden: Hidden,
    place: Place,
    array: Float[Array, "_ _"],
    keys_down: bool = False,
) -> Float[Array, "_ _"]:
    """Calls a function of scores or weights with the places of their pairs and its parameters."""
    functions, pairs = settings.functions, pairs_of(settings, operands)
    assert functions is not None
    assert hidden.head is not None
    assert hidden.batch is not None
    queries, keys = _numbers_of(operands, hidden, place)
    queries = queries if hidden.offset is None else queries + hidden.offset
    heads = hidden.head.reshape(-1)
    heads = pairs.each_query(heads) if pairs.r > 1 else heads
    row = lambda x: x[None] if keys_down else x[:, None]
    key = keys[:, None] if keys_down else keys[None]
    at = At(hidden.batch.reshape(1, 1), row(heads), row(pairs.rows_of(queries)), key)
    moving, fixed = iter(operands.params), iter(hidden.fixed)
    leaves = [next(moving if moves else fixed) for moves in functions.moves]
    return freely(function)(array, at, functions.structure.unflatten(leaves))


def freely(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the caller, which may combine integers with floats; its result is checked."""

    @functools.wraps(function)
    def free(*arguments: Any) -> Any:
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return function(*arguments)

    return free


def allowed_of(
    settings: Settings, operands: Operands, hidden: Hidden, place: Place, keys_down: bool = False
) -> Bool[Array, "_ _"] | None:
    """True where a query may see a key, [c s] or [s c]; None if all are seen."""
    pairs, known = pairs_of(settings, operands), []
    if hidden.mask is not None:
        queries, keys = places_of(operands, place)
        queries = pairs.rows_of(queries)
        # As the scores lie: what is evaluated otherwise and then turned does not fuse with them.
        places = (queries[None], keys[:, None]) if keys_down else (queries[:, None], keys[None])
        shape = jnp.broadcast_shapes(*(x.shape for x in places))
        known.append(jnp.broadcast_to(at_positions(hidden.mask, *places), shape))
    bias = operands.bias
    arrays = hidden.array, None if bias is None else bias != -jnp.inf
    arrays = [pairs.rows(x) for x in arrays if x is not None]
    known += [x.T for x in arrays] if keys_down else arrays
    return reduce(jnp.logical_and, known) if known else None


def kept_of(
    settings: Settings, operands: Operands, hidden: Hidden, place: Place
) -> Float[Array, "c s"]:
    """Returns the factors of dropout for the weights: zero or 1 / (1 - rate)."""
    assert hidden.rng is not None
    assert hidden.heads is not None
    places = _numbers_of(operands, hidden, place)
    kept = kept_pairs(hidden.rng, settings.dropout_rate, hidden.heads.reshape(-1), *places)
    kept = pairs_of(settings, operands).rows(kept)
    return kept.astype(operands.query.dtype) / (1.0 - settings.dropout_rate)


def places_of(operands: Operands, place: Place) -> tuple[Int[Array, " t"], Int[Array, " s"]]:
    """The positions of the queries and of the keys."""
    queries, keys = operands.query.shape[0], operands.key.shape[0]
    return place.query + jnp.arange(queries), place.key + jnp.arange(keys)


def _numbers_of(
    operands: Operands, hidden: Hidden, place: Place
) -> tuple[Int[Array, " t"], Int[Array, " s"]]:
    """The positions of queries and keys in the whole of which the call is a part."""
    queries, keys = places_of(operands, place)
    if hidden.origin is None:
        return queries, keys
    first, of_keys = (jnp.asarray(x).astype(int) for x in hidden.origin)
    return queries + first, keys + of_keys


def pairs_of(settings: Settings, operands: Operands) -> Pairs:
    return Pairs(operands.query.shape[0], settings.heads, operands.key.shape[0])


def along_diagonals(numbers: Float[Array, " n"], t: int, s: int) -> Float[Array, "t s"]:
    """The matrix whose entry (i, j) is number j - i + t - 1 of t + s - 1."""
    row = lambda start: lax.dynamic_slice_in_dim(numbers, start, s)
    return jax.vmap(row)(t - 1 - jnp.arange(t))


def _of_distances(
    pairs: Pairs, numbers: Float[Array, "*r n"], keys_down: bool
) -> Float[Array, "_ _"]:
    """A bias of distances for all pairs, [c s] or [s c]."""
    if keys_down and numbers.ndim == 1 and pairs.r == 1:
        return along_diagonals(numbers[::-1], pairs.s, pairs.t)
    spread = lambda one: along_diagonals(one, pairs.t, pairs.s)
    rows = pairs.rows(spread(numbers) if numbers.ndim == 1 else jax.vmap(spread)(numbers))
    return rows.T if keys_down else rows


def _finite(bias: Float[Array, "*r t s"]) -> Float[Array, "*r t s"]:
    """A bias of -inf is a mask; where that holds no sum is taken."""
    return jnp.where(bias == -jnp.inf, 0.0, bias)
