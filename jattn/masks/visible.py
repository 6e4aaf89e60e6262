"""Queries that may attend to a key, and keys that a query may attend to, in linear memory."""

from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from jattn._sizes import are_known, is_certain
from jattn._varying import varying_as
from jattn.masks.algebra import Mask, array_rule
from jattn.masks.spans import interval, is_known

PAIRS = 2**16  # Of a block of queries with all keys.


class Visible(NamedTuple):
    """True for queries that may attend to a key, and for keys that a query may attend to."""

    queries: Bool[Array, " t"]
    keys: Bool[Array, " s"]


def visible(
    mask: Bool[Array, "t s"] | Mask | None, bias: Float[Array, "*h t s"] | None, t: int, s: int
) -> Visible | None:
    """Returns the visible queries and keys of all heads; None if all are known to be visible.

    A bias of -inf is a mask. A mask of `jattn.masks` alone is never an array of all pairs: it is
    counted by intervals where each query has one, and read in blocks of queries otherwise.
    """
    if isinstance(mask, Mask):
        mask.check(t, s)
        if bias is None and mask.rule is not array_rule:
            seen = by_intervals(mask, t, s)
            return _unless_all(_by_blocks(mask, t, s) if seen is None else seen)
        mask = mask.dense(t, s)
    if bias is not None:
        # Compared with a finite number: debug_infs would report the infinite one.
        finite = ~(lax.stop_gradient(bias) < jnp.finfo(bias.dtype).min)
        finite = lax.reduce_or(finite, tuple(range(bias.ndim - 2)))
        mask = finite if mask is None else mask & finite
    if mask is None:
        if is_certain(lambda: t > 0 and s > 0):
            return None
        return Visible(jnp.full(t, jnp.asarray(s) > 0), jnp.full(s, jnp.asarray(t) > 0))
    return Visible(lax.reduce_or(jnp.asarray(mask), (1,)), lax.reduce_or(jnp.asarray(mask), (0,)))


def only(kept: Bool[Array, "*b t"] | None, rows: Any) -> Any:
    """Returns the rows [*b t d] with zeros where they are not kept; None keeps all."""
    return rows if kept is None else jnp.where(jnp.asarray(kept)[..., None], rows, 0.0)


def _unless_all(seen: Visible) -> Visible | None:
    known = isinstance(seen.queries, np.ndarray)
    return None if known and seen.queries.all() and seen.keys.all() else seen


def by_intervals(mask: Mask, t: int, s: int) -> Visible | None:
    """Returns what is visible if each query sees an interval of keys: their union by its ends."""
    known = is_known(mask) and are_known(t, s)
    xp: ModuleType = np if known else jnp
    keys = interval(mask, xp.arange(t), s, xp)
    if keys is None:
        return None
    reads = keys.start < keys.stop
    starts, stops = xp.where(reads, keys.start, s), xp.where(reads, keys.stop, s)
    if known:
        change = np.bincount(starts, minlength=s + 1) - np.bincount(stops, minlength=s + 1)
    else:
        change = jnp.zeros(s + 1, jnp.int32).at[starts].add(1).at[stops].add(-1)
    read: Any = xp.cumsum(change)[:s] > 0
    return Visible(reads, read)


def _by_blocks(mask: Mask, t: int, s: int) -> Visible:
    """Returns what is visible, from all keys of a block of queries at a time."""
    size = min(max(PAIRS // max(s, 1), 1), t) if are_known(t, s) else t

    def of_rows(queries: Any) -> tuple[Any, Any]:
        with jax.numpy_rank_promotion("allow"):
            pairs = mask.at(queries[:, None], jnp.arange(s)[None])
        pairs = jnp.broadcast_to(pairs, (queries.shape[0], s))
        return lax.reduce_or(pairs, (1,)), lax.reduce_or(pairs, (0,))

    if size == t:
        return Visible(*of_rows(jnp.arange(t)))

    def step(read: Any, start: Any) -> tuple[Any, Any]:
        reads, read_here = of_rows(start + jnp.arange(size))
        return read | read_here, reads

    starts = np.minimum(np.arange(0, t, size), t - size)  # The last block is whole too.
    read, reads = lax.scan(step, varying_as(jnp.zeros(s, bool), mask), jnp.asarray(starts))
    rows = starts[:, None] + np.arange(size)
    return Visible(jnp.zeros(t, bool).at[rows].set(reads), read)
