"""A tile: a block of queries against a span of keys, its weights, its context and its tangent.

XLA's fast CPU kernels take products of rows with columns or of rows with rows, not of columns.
So scores lie with queries down in the forward pass and with keys down in its derivative, where all
five products then have such a form; only the keys are turned for it, once.
"""

from functools import reduce
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key

from jattn._dropout import kept_pairs
from jattn._sizes import are_known
from jattn.engine.visibility import at_positions
from jattn.masks.algebra import Mask

# Scores of a tile up to which XLA's one kernel of both products and all between them is faster. It
# makes one where there is no select.
SMALL = 2**16


class Settings(NamedTuple):
    """Numbers that are known before the run."""

    heads: int  # Query heads r that share keys and values.
    cap: float | None
    dropout_rate: float
    precision: Any = None  # Of the products, as `jax.lax.dot_general` takes it.

    def product(
        self,
        left: Float[Array, "_ _"],
        right: Float[Array, "_ _"],
        left_axis: int,
        right_axis: int,
    ) -> Float[Array, "_ _"]:
        """The product of two matrices over the given axes; JAX transposes it without a detour."""
        axes = (((left_axis,), (right_axis,)), ((), ()))
        return lax.dot_general(left, right, axes, precision=self.precision)


class Operands(NamedTuple):
    """Differentiable arrays of a head or tile, whose axis r is absent where it would be one."""

    query: Float[Array, "t *r k"]
    key: Float[Array, "s k"]
    value: Float[Array, "s v"]
    bias: Float[Array, "*r t s"] | None  # Axes of t and s may have size 1.
    sinks: Float[Array, "*r"] | None
    scale: Float[Array, ""]


class Place(NamedTuple):
    """Positions of a tile's first query and first key."""

    query: Any = 0
    key: Any = 0


class Hidden(NamedTuple):
    """Arrays without derivatives: what is masked, and what dropout draws from."""

    mask: Mask | None = None
    array: Bool[Array, "*r t s"] | None = None  # Axes of t and s may have size 1.
    rng: Key[Array, ""] | None = None
    heads: Int[Array, "*r"] | None = None  # The number of each head: batch × heads + head.
    origin: Place | None = None  # Where dropout starts to count.


class Read(NamedTuple):
    """Weighted means of the values, and the logarithm of the sum of the exponentials."""

    context: Float[Array, "t *r v"]
    lse: Float[Array, "t *r"]


class Pairs(NamedTuple):
    """The pairs of a tile: its queries and keys, and the heads that each query has a row of."""

    t: int
    r: int
    s: int

    def rows(self, pairs: Float[Array, "*r t s"]) -> Float[Array, "c s"]:
        """`pairs`, of whose axes some may be 1 or missing, with the heads of a query together."""
        pairs = pairs[:, None] if pairs.ndim == 2 else jnp.moveaxis(pairs, 0, 1)
        return jnp.broadcast_to(pairs, (self.t, self.r, self.s)).reshape(self.t * self.r, self.s)

    def each_query(self, heads: Float[Array, "*r"]) -> Float[Array, " c"]:
        """A number of each head, for each of its queries."""
        return jnp.broadcast_to(heads.reshape(1, self.r), (self.t, self.r)).reshape(self.t * self.r)


def read(settings: Settings, operands: Operands, hidden: Hidden, place: Place) -> Read:
    """Softmax attention of a tile.

    scores = cap tanh(query · key / cap) + bias,   lse = log(Σ exp(scores) + exp(sink))
    context = Σ exp(scores - lse) value
    """
    pairs = _pairs(settings, operands)
    scores = settings.product(_scaled(operands), operands.key, 1, 1)
    scores = _scored(settings, operands, scores)
    allowed = _allowed(settings, operands, hidden, place)
    sinks = None if operands.sinks is None else pairs.each_query(operands.sinks)
    lowest = jnp.finfo(scores.dtype).min  # Finite, so that an empty row stays finite.
    maximum = scores.max(-1, initial=lowest, where=allowed)
    maximum = maximum if sinks is None else jnp.maximum(maximum, sinks)
    maximum = lax.stop_gradient(maximum)  # Neither result depends on it.
    exponentials = _exponentials(scores, maximum[:, None], allowed)
    total = exponentials.sum(-1)
    total = total if sinks is None else total + jnp.exp(sinks - maximum)
    if settings.dropout_rate:
        exponentials = exponentials * _kept(settings, operands, hidden, place)
    # A row that is not empty has a total of one at least.
    small = _is_small(scores)
    safe = jnp.maximum(total, 0.5) if small else jnp.where(total == 0.0, 1.0, total)
    context = settings.product(exponentials, operands.value, 1, 0) / safe[:, None]
    lse = jnp.where(total == 0.0, -jnp.inf, maximum + jnp.log(safe))
    rows = operands.query.shape[:-1]
    return Read(context.reshape(*rows, context.shape[-1]), lse.reshape(rows))


def tangent(
    settings: Settings,
    operands: Operands,
    hidden: Hidden,
    place: Place,
    key_columns: Float[Array, "k s"],
    result: Read,
    d: Operands,
) -> Read:
    """The change of `read`'s result for the changes `d`, linear in these.

        dlse = Σ weights dscores + exp(sink - lse) dsink
        dcontext = Σ weights dscores value - context dlse + Σ weights dvalue

    It computes the weights anew from `lse`, since what is kept between forward and backward must
    not grow with queries times keys. Its transpose is the backward pass of FlashAttention (Dao et
    al. 2022, arXiv:2205.14135, algorithm 4), without that being written. Keys are down here, and
    `key_columns` are the keys once more, turned.
    """
    pairs = _pairs(settings, operands)
    context, lse = _rows(result.context), result.lse.reshape(pairs.t * pairs.r)
    lse = jnp.where(lse == -jnp.inf, 0.0, lse)[None]
    query = _scaled(operands)
    scores = settings.product(operands.key, query, 1, 1)
    curve = None
    if settings.cap is not None:
        capped = jnp.tanh(scores / settings.cap)
        scores, curve = settings.cap * capped, 1.0 - capped**2
    if operands.bias is not None:
        scores = scores + pairs.rows(_finite(operands.bias)).T
    scores = _rounded(scores)
    allowed = _allowed(settings, operands, hidden, place, keys_down=True)
    if _is_small(scores) and allowed is operands.sinks is None:
        # Cheaper than to keep the lse, which would cut the one kernel of such heads into many.
        maximum = scores.max(0, initial=jnp.finfo(scores.dtype).min)
        exponentials = jnp.exp(scores - lax.stop_gradient(maximum)[None])
        weights = exponentials / jnp.maximum(exponentials.sum(0), 0.5)[None]
    else:
        weights = _exponentials(scores, lse, allowed)

    d_query = _rows(d.query) * operands.scale + _rows(operands.query) * d.scale
    # The barrier keeps a transpose of the block's queries apart from the product that it is for.
    d_query = lax.optimization_barrier(d_query.T)
    d_scores = settings.product(d_query, key_columns, 0, 0).T + settings.product(d.key, query, 1, 1)
    d_scores = d_scores if curve is None else curve * d_scores
    if d.bias is not None:
        d_scores = d_scores + pairs.rows(d.bias).T
    d_scores = d_scores if allowed is None else jnp.where(allowed, d_scores, 0.0)
    moved = weights * d_scores
    d_lse = moved.sum(0)
    if d.sinks is not None and operands.sinks is not None:
        sinks = pairs.each_query(operands.sinks)
        d_lse = d_lse + jnp.exp(sinks - lse[0]) * pairs.each_query(d.sinks)
    if settings.dropout_rate:
        kept = _kept(settings, operands, hidden, place).T
        moved, weights = moved * kept, weights * kept
    d_context = (
        settings.product(moved, operands.value, 0, 0)
        - context * d_lse[:, None]
        + settings.product(d.value, weights, 0, 0).T
    )
    return Read(d_context.reshape(result.context.shape), d_lse.reshape(result.lse.shape))


def weights_of(
    settings: Settings, operands: Operands, hidden: Hidden, place: Place, lse: Float[Array, "t *r"]
) -> Float[Array, "c s"]:
    """The weights themselves, before dropout, from what `read` returned beside the context."""
    scores = settings.product(_scaled(operands), operands.key, 1, 1)
    scores = _scored(settings, operands, scores)
    allowed = _allowed(settings, operands, hidden, place)
    shift = jnp.where(lse == -jnp.inf, 0.0, lse).reshape(scores.shape[0])
    return _exponentials(scores, shift[:, None], allowed)


def _scored(
    settings: Settings, operands: Operands, scores: Float[Array, "c s"]
) -> Float[Array, "c s"]:
    """The products of queries and keys with cap and bias."""
    if settings.cap is not None:
        scores = settings.cap * jnp.tanh(scores / settings.cap)
    if operands.bias is not None:
        scores = scores + _pairs(settings, operands).rows(_finite(operands.bias))
    return _rounded(scores)


def _allowed(
    settings: Settings, operands: Operands, hidden: Hidden, place: Place, keys_down: bool = False
) -> Bool[Array, "_ _"] | None:
    """True where a query may see a key, [c s] or [s c]; None if all are seen."""
    pairs, known = _pairs(settings, operands), []
    if hidden.mask is not None:
        queries, keys = _places(operands, place)
        queries = jnp.broadcast_to(queries[:, None], (pairs.t, pairs.r)).reshape(-1)
        # As the scores lie: what is evaluated otherwise and then turned does not fuse with them.
        places = (queries[None], keys[:, None]) if keys_down else (queries[:, None], keys[None])
        shape = jnp.broadcast_shapes(*(x.shape for x in places))
        known.append(jnp.broadcast_to(at_positions(hidden.mask, *places), shape))
    bias = operands.bias
    arrays = hidden.array, None if bias is None else bias != -jnp.inf
    arrays = [pairs.rows(x) for x in arrays if x is not None]
    known += [x.T for x in arrays] if keys_down else arrays
    return reduce(jnp.logical_and, known) if known else None


def _kept(
    settings: Settings, operands: Operands, hidden: Hidden, place: Place
) -> Float[Array, "c s"]:
    """Returns the factors of dropout for the weights: zero or 1 / (1 - rate)."""
    assert hidden.rng is not None
    assert hidden.heads is not None
    places = _places(operands, place)
    if hidden.origin is not None:
        first = (jnp.asarray(x).astype(int) for x in hidden.origin)
        places = [x + start for x, start in zip(places, first, strict=True)]
    kept = kept_pairs(hidden.rng, settings.dropout_rate, hidden.heads.reshape(-1), *places)
    kept = _pairs(settings, operands).rows(kept)
    return kept.astype(operands.query.dtype) / (1.0 - settings.dropout_rate)


def _places(operands: Operands, place: Place) -> tuple[Int[Array, " t"], Int[Array, " s"]]:
    """The positions of the queries and of the keys."""
    queries, keys = operands.query.shape[0], operands.key.shape[0]
    return place.query + jnp.arange(queries), place.key + jnp.arange(keys)


def _pairs(settings: Settings, operands: Operands) -> Pairs:
    return Pairs(operands.query.shape[0], settings.heads, operands.key.shape[0])


def _scaled(operands: Operands) -> Float[Array, "c k"]:
    """Queries are scaled and not scores: a product too large for the dtype then counts only if the
    score itself is."""
    return _rows(operands.query) * operands.scale


def _rows(array: Float[Array, "t *r f"]) -> Float[Array, "c f"]:
    t, *heads, f = array.shape
    return array.reshape(t * heads[0], f) if heads else array


def _finite(bias: Float[Array, "*r t s"]) -> Float[Array, "*r t s"]:
    """A bias of -inf is a mask; where that holds no sum is taken."""
    return jnp.where(bias == -jnp.inf, 0.0, bias)


def _rounded(scores: Float[Array, "_ _"]) -> Float[Array, "_ _"]:
    """Returns finite scores as they are, so that XLA cannot contract `x * c - maximum`.

    With one rounding for both, the largest score would differ from the maximum.
    """
    return jnp.maximum(scores, jnp.finfo(scores.dtype).min)


def _is_small(scores: Float[Array, "_ _"]) -> bool:
    return are_known(*scores.shape) and scores.size <= SMALL


def _exponentials(
    scores: Float[Array, "_ _"], shift: Float[Array, "..."], allowed: Bool[Array, "_ _"] | None
) -> Float[Array, "_ _"]:
    if allowed is None:
        return jnp.exp(scores - shift)
    # Masked scores take the shift before the exponential, so that no gradient is NaN.
    return jnp.where(allowed, jnp.exp(jnp.where(allowed, scores, shift) - shift), 0.0)
