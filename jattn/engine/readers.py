"""Queries that read any key, and keys that any query reads, without an array of all pairs."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool

from jattn._varying import varying_as
from jattn.engine.layout import pairs_of_head
from jattn.engine.pairs import pairs_allowed
from jattn.engine.planners import BLOCK
from jattn.masks.algebra import Mask
from jattn.masks.spans import interval, is_known


class Readers(NamedTuple):
    """Queries that read a key, and keys that are read; with a batch any axis may have size 1."""

    reads: Bool[Array, "r t"]
    read: Bool[Array, " s"]


def readers(mask: Mask | None, array: Any, bias: Any, t: int, s: int) -> Readers:
    """Returns the readers of one problem; r is 1 if all heads are alike."""
    if array is None and bias is None and mask is not None:
        found = _from_intervals(mask, t, s)
        if found is not None:
            return found
    array, bias = pairs_of_head(array), pairs_of_head(bias)
    heads = max([x.shape[0] for x in (array, bias) if x is not None], default=1)
    size = min(max(BLOCK // max(s * heads, 1), 1), max(t, 1))
    count = -(-t // size)
    if not t:
        return Readers(jnp.zeros((heads, 0), bool), jnp.zeros(s, bool))

    def rows(pairs: Any, start: Any) -> Any:
        """The rows of a block; the last block starts early enough to be whole."""
        if pairs is None or pairs.shape[1] != t:
            return pairs
        return lax.dynamic_slice_in_dim(pairs, start, size, axis=1)

    def step(read: Any, start: Any) -> tuple[Any, Any]:
        queries, keys = start + jnp.arange(size), jnp.arange(s)
        allowed = pairs_allowed(mask, rows(array, start), rows(bias, start), queries, keys, heads)
        return read | allowed.any((0, 1)), allowed.any(2)

    nothing = varying_as(jnp.zeros(s, bool), (mask, array, bias))
    starts = jnp.minimum(jnp.arange(count) * size, max(t - size, 0))
    read, reads = lax.scan(step, nothing, starts)  # reads [n r c]
    joined = reads.transpose(1, 0, 2).reshape(heads, count * size)
    return Readers(joined if count * size == t else _overlapping(reads, starts, t), read)


def _overlapping(reads: Bool[Array, "n r c"], starts: Any, t: int) -> Bool[Array, "r t"]:
    size = reads.shape[2]
    body = reads[:-1].transpose(1, 0, 2).reshape(reads.shape[1], -1)
    return jnp.concatenate([body, reads[-1][:, size - (t - body.shape[1]) :]], axis=1)


def _from_intervals(mask: Mask, t: int, s: int) -> Readers | None:
    """Returns the readers if each query sees an interval of keys: their union, by counting ends."""
    known = is_known(mask)
    xp: Any = np if known else jnp
    seen = interval(mask, xp.arange(t), s, xp)
    if seen is None:
        return None
    reads = seen.start < seen.stop
    first, after = xp.where(reads, seen.start, s), xp.where(reads, seen.stop, s)
    if known:
        change = np.bincount(first, minlength=s + 1) - np.bincount(after, minlength=s + 1)
    else:
        change = jnp.zeros(s + 1, jnp.int32).at[first].add(1).at[after].add(-1)
    return Readers(reads[None], xp.cumsum(change)[:s] > 0)
