"""A tile: a block of queries against a span of keys, its weights, its context and its tangent.

XLA's fast CPU kernels take products of rows with columns or of rows with rows, not of columns.
So scores lie with queries down in the forward pass and with keys down in its derivative, where all
five products then have such a form; only the keys are turned for it, once.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jattn._sizes import are_known
from jattn.engine.operands import Hidden, Operands, Place, Read, Settings
from jattn.engine.scores import allowed_of, called, freely, kept_of, pairs_of, scored

# Scores of a tile up to which XLA's one kernel of both products and all between them is faster. It
# makes one where there is no select.
SMALL = 2**16


def read(settings: Settings, operands: Operands, hidden: Hidden, place: Place) -> Read:
    """Softmax attention of a tile.

    scores = score(query · key) + bias,   lse = log(Σ exp(scores) + exp(sink))
    context = Σ weight(exp(scores - lse)) value
    """
    pairs = pairs_of(settings, operands)
    products = settings.product(_scaled(operands), operands.key, 1, 1)
    scores = _rounded(scored(settings, operands, hidden, place, products))
    allowed = allowed_of(settings, operands, hidden, place)
    sinks = None if operands.sinks is None else pairs.each_query(operands.sinks)
    lowest = jnp.finfo(scores.dtype).min  # Finite, so that an empty row stays finite.
    maximum = scores.max(-1, initial=lowest, where=allowed)
    nothing = maximum == lowest if _has_score(settings) else None  # All that is seen is -inf.
    maximum = maximum if sinks is None else jnp.maximum(maximum, sinks)
    maximum = lax.stop_gradient(maximum)  # Neither result depends on it.
    exponentials = _exponentials(scores, maximum[:, None], allowed)
    total = exponentials.sum(-1)
    total = total if nothing is None else jnp.where(nothing, 0.0, total)
    total = total if sinks is None else total + jnp.exp(sinks - maximum)
    # A row that is not empty has a total of one at least.
    small = _is_small(scores)
    safe = jnp.maximum(total, 0.5) if small else jnp.where(total == 0.0, 1.0, total)
    weigh = None if settings.functions is None else settings.functions.weight
    if weigh is not None:
        weights = exponentials / safe[:, None]
        exponentials = _seen(called(weigh, settings, operands, hidden, place, weights), allowed)
    if settings.dropout_rate:
        exponentials = exponentials * kept_of(settings, operands, hidden, place)
    context = settings.product(exponentials, operands.value, 1, 0)
    context = context if weigh is not None else context / safe[:, None]
    context = context if nothing is None else jnp.where(nothing[:, None], 0.0, context)
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
    pairs, tile = pairs_of(settings, operands), (hidden, place)
    context, lse = _rows(result.context), result.lse.reshape(pairs.t * pairs.r)
    lse = jnp.where(lse == -jnp.inf, 0.0, lse)[None]
    query = _scaled(operands)
    allowed = allowed_of(settings, operands, *tile, keys_down=True)
    products = settings.product(operands.key, query, 1, 1)

    d_query = _rows(d.query) * operands.scale + _rows(operands.query) * d.scale
    # The barrier keeps a transpose of the block's queries apart from the product that it is for.
    d_query = lax.optimization_barrier(d_query.T)
    d_products = settings.product(d_query, key_columns, 0, 0).T
    d_products = d_products + settings.product(d.key, query, 1, 1)
    if _has_score(settings):  # Whose derivative may be NaN where nothing is seen.
        d_products = _seen(d_products, allowed)
    of_products = lambda operands, products: scored(settings, operands, *tile, products, True)
    scores, d_scores = jax.jvp(of_products, (operands, products), (d, d_products))
    scores, d_scores = _rounded(scores), _seen(d_scores, allowed)
    if _is_small(scores) and allowed is operands.sinks is None and not _has_score(settings):
        # Cheaper than to keep the lse, which would cut the one kernel of such heads into many.
        maximum = scores.max(0, initial=jnp.finfo(scores.dtype).min)
        exponentials = jnp.exp(scores - lax.stop_gradient(maximum)[None])
        weights = exponentials / jnp.maximum(exponentials.sum(0), 0.5)[None]
    else:
        weights = _exponentials(scores, lse, allowed)
    moved = weights * d_scores
    d_lse = moved.sum(0)
    if d.sinks is not None and operands.sinks is not None:
        sinks = pairs.each_query(operands.sinks)
        d_lse = d_lse + jnp.exp(sinks - lse[0]) * pairs.each_query(d.sinks)
    weigh = None if settings.functions is None else settings.functions.weight
    if weigh is not None:  # What it makes of the weights is not normalized any more.
        moved = moved - weights * d_lse[None]
        weighed = lambda operands, weights: _seen(
            called(weigh, settings, operands, *tile, weights, True), allowed
        )
        weights, moved = jax.jvp(weighed, (operands, weights), (d, moved))
    if settings.dropout_rate:
        kept = kept_of(settings, operands, *tile).T
        moved, weights = moved * kept, weights * kept
    d_context = settings.product(moved, operands.value, 0, 0)
    d_context = d_context if weigh is not None else d_context - context * d_lse[:, None]
    d_context = d_context + settings.product(d.value, weights, 0, 0).T
    return Read(d_context.reshape(result.context.shape), d_lse.reshape(result.lse.shape))


class Weighted(NamedTuple):
    """The weights of a tile before dropout, and its scores, -inf where nothing is seen."""

    weights: Float[Array, "c s"]
    scores: Float[Array, "c s"]


def weights_of(
    settings: Settings,
    operands: Operands,
    hidden: Hidden,
    place: Place,
    lse: Float[Array, "t *r"] | None = None,
) -> Weighted:
    """The weights themselves, from the lse that `read` returned, or by another normalizer."""
    products = settings.product(_scaled(operands), operands.key, 1, 1)
    scores = scored(settings, operands, hidden, place, products)
    allowed = allowed_of(settings, operands, hidden, place)
    hides = scores if allowed is None else jnp.where(allowed, scores, -jnp.inf)
    if lse is None:
        assert settings.functions is not None
        assert settings.functions.normalizer is not None
        normalizer = freely(settings.functions.normalizer)
        every = jnp.ones(scores.shape, bool) if allowed is None else allowed
        return Weighted(normalizer(scores, every), hides)
    shift = jnp.where(lse == -jnp.inf, 0.0, lse).reshape(scores.shape[0])
    return Weighted(_exponentials(_rounded(scores), shift[:, None], allowed), hides)


def read_normalized(
    settings: Settings, operands: Operands, hidden: Hidden, place: Place
) -> Float[Array, "t *r v"]:
    """Attention of a tile with another normalizer than softmax."""
    tile = settings, operands, hidden, place
    weights, assigned = weights_of(*tile).weights, settings.functions
    if assigned is not None and assigned.weight is not None:
        weights = called(assigned.weight, *tile, weights)
        weights = _seen(weights, allowed_of(*tile))
    if settings.dropout_rate:
        weights = weights * kept_of(*tile)
    context = settings.product(weights, operands.value, 1, 0)
    return context.reshape(*operands.query.shape[:-1], context.shape[-1])


def _has_score(settings: Settings) -> bool:
    return settings.functions is not None and settings.functions.score is not None


def _seen(array: Float[Array, "_ _"], allowed: Bool[Array, "_ _"] | None) -> Float[Array, "_ _"]:
    return array if allowed is None else jnp.where(allowed, array, 0.0)


def _scaled(operands: Operands) -> Float[Array, "c k"]:
    """Queries are scaled and not scores: a product too large for the dtype then counts only if the
    score itself is."""
    return _rows(operands.query) * operands.scale


def _rows(array: Float[Array, "t *r f"]) -> Float[Array, "c f"]:
    t, *heads, f = array.shape
    return array.reshape(t * heads[0], f) if heads else array


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
