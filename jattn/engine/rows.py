"""Attention weights of chosen queries: the rows of a matrix that is not made."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jattn.engine.broadcast import check_pairs, four_axes
from jattn.masks import window
from jattn.masks.algebra import Mask


class Scoring(NamedTuple):
    """How queries and keys are scored and which pairs are; `dot_product_attention`'s names."""

    bias: Float[Array, "*b h t s"] | None = None
    mask: Bool[Array, "*b h t s"] | Mask | None = None
    scale: float | Float[Array, ""] | None = None
    is_causal: bool = False
    query_seq_lengths: Int[Array, "*b"] | None = None
    key_value_seq_lengths: Int[Array, "*b"] | None = None
    local_window_size: int | tuple[int | None, int | None] | None = None
    query_offset: int | Int[Array, "*b"] | None = None
    logits_soft_cap: float | None = None
    sinks: Float[Array, " h"] | None = None


def row_weights(
    function: str, query: Float[Array, "*b t h k"], key: Float[Array, "*b s g k"], how: Scoring
) -> Callable[[Int[Array, " r"]], Float[Array, "b h r s"]]:
    """Maps the numbers of queries to their weights, with the leading axes as one.

    A query that may attend to nothing has weight zero everywhere; keys that none of the queries
    asked for may read reach nothing, and neither do queries that may read no key.
    """
    check_pairs(function, query, key, bias=how.bias, mask=how.mask)
    batch, (heads, size), (s, groups, _) = query.shape[:-3], query.shape[-2:], key.shape[-3:]
    count = math.prod(batch)
    query, key = (x.reshape(count, *x.shape[-3:]) for x in (query, key))
    bias = four_axes(how.bias, batch)
    factor = max(size, 1) ** -0.5 if how.scale is None else how.scale

    def weights_of(rows: Int[Array, " r"]) -> Float[Array, "b h r s"]:
        allowed = allowed_pairs(how, batch, rows, s)
        bias_of_rows = None if bias is None else _take(bias, rows)
        if bias_of_rows is not None:
            finite = bias_of_rows != -jnp.inf
            allowed = allowed & finite
            bias_of_rows = jnp.where(finite, bias_of_rows, 0.0)
        reads = jnp.swapaxes(allowed.any(-1), 1, 2)[..., None]
        keys = jnp.where(allowed.any((1, 2))[:, :, None, None], key, 0.0)
        asked = jnp.where(reads, query[:, rows], 0.0) * factor
        asked = asked.reshape(count, len(rows), groups, heads // groups, size)
        scores = jnp.einsum("brgmk,bsgk->bgmrs", asked, keys).reshape(count, heads, len(rows), s)
        if how.logits_soft_cap is not None:
            scores = how.logits_soft_cap * jnp.tanh(scores / how.logits_soft_cap)
        scores = scores if bias_of_rows is None else scores + bias_of_rows
        return _softmax(scores, jnp.broadcast_to(allowed, scores.shape), how.sinks)

    return weights_of


def _softmax(scores, allowed, sinks) -> Float[Array, "b h r s"]:
    scores = jnp.where(allowed, scores, 0.0)
    lowest = jnp.finfo(scores.dtype).min  # Finite, so that an empty row stays finite.
    maximum = scores.max(-1, keepdims=True, where=allowed, initial=lowest)
    if sinks is not None:
        sinks = sinks[None, :, None, None]
        maximum = jnp.maximum(maximum, sinks)
    maximum = jax.lax.stop_gradient(maximum)  # Weights do not depend on it.
    shifted = jnp.where(allowed, scores - maximum, 0.0)
    exponentials = jnp.where(allowed, jnp.exp(shifted), 0.0)
    total = exponentials.sum(-1, keepdims=True)
    total = total if sinks is None else total + jnp.exp(sinks - maximum)
    return exponentials / jnp.where(total == 0.0, 1.0, total)


def allowed_pairs(
    how: Scoring, batch: tuple[int, ...], rows: Int[Array, " r"], s: int
) -> Bool[Array, "#b #h r s"]:
    """Which of `s` keys each query at `rows` may read, a bias of -inf apart."""
    count = math.prod(batch)
    queries, keys = rows[:, None], jnp.arange(s, dtype=rows.dtype)[None]
    allowed = jnp.ones((1, 1, len(rows), s), bool)
    if isinstance(how.mask, Mask):
        allowed &= _at(how.mask, queries, keys)[None, None]
    elif how.mask is not None:
        mask = _take(four_axes(how.mask, batch), rows)
        allowed = jnp.broadcast_to(mask, (*mask.shape[:2], *allowed.shape[2:]))
    offset = jnp.asarray(0 if how.query_offset is None else how.query_offset)
    offset = offset.astype(rows.dtype).reshape(-1)
    sides = (None, 0) if how.is_causal else (None, None)
    for left, right in (sides, _sides(how.local_window_size)):
        if (left, right) != (None, None):
            at = lambda offset, a=left, b=right: _at(window(a, b, offset), queries, keys)
            allowed = allowed & jax.vmap(at)(offset)[:, None]
    for length, positions in (
        (how.query_seq_lengths, queries),
        (how.key_value_seq_lengths, keys),
    ):
        if length is not None:
            length = jnp.broadcast_to(jnp.asarray(length, rows.dtype), batch).reshape(
                count, 1, 1, 1
            )
            allowed = allowed & (positions[None, None] < length)
    return allowed


def _sides(
    local_window_size: int | tuple[int | None, int | None] | None,
) -> tuple[int | None, int | None]:
    if local_window_size is None or isinstance(local_window_size, tuple):
        return local_window_size or (None, None)
    return local_window_size, local_window_size


def _at(mask: Mask, queries, keys) -> Bool[Array, "r s"]:
    with jax.numpy_rank_promotion("allow"):
        return jnp.broadcast_to(mask.at(queries, keys), (queries.shape[0], keys.shape[1]))


def _take(array, rows) -> Array:
    return array if array.shape[2] == 1 else array[:, :, rows]
