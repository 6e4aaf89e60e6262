"""Blocks of native sparse attention: Yuan et al. (2025), arXiv:2502.11089, equations 7 and 9."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jattn._axes import named_axes
from jattn._options import Count, Size
from jattn._precision import at_least_float32
from jattn.normalizers.counted import Allowed
from jattn.normalizers.exponential import softmax
from jattn.selectors.blocks import (
    allowed_past,
    blocks_back,
    count_of_blocks,
    eligible,
    keys_of,
)
from jattn.selectors.top_k import largest


class Sizes(NamedTuple):
    """Keys of a selected and of a compressed block, the stride of these, and numbers of blocks."""

    block_size: int
    compressed_size: int
    stride: int
    count: int
    initial: int
    local: int


def sizes_of(
    name: str,
    block_size: int,
    compressed_size: int | None,
    stride: int | None,
    count: int,
    initial: int,
    local: int,
) -> Sizes:
    """Returns the sizes with their defaults.

    Raises:
        ValueError: if the stride does not divide both sizes, or the blocks that are always
            selected are more than count.
    """
    size = block_size if compressed_size is None else compressed_size
    stride = size if stride is None else stride
    for argument, number in (("block_size", block_size), ("compressed_size", size)):
        if stride < 1 or number < 1 or number % stride:
            expected = f"at least 1 and a multiple of stride={stride}"
            raise ValueError(f"{name}: {argument} is {number}, expected {expected}")
    if count < initial + local:
        expected = f"at least initial + local = {initial + local}"
        raise ValueError(f"{name}: count is {count}, expected {expected}")
    return Sizes(block_size, size, stride, count, initial, local)


@named_axes
@at_least_float32
def native_blocks(
    query: Float[Array, "t h k"] | Float[Array, "t k"],
    key: Float[Array, "s k"],
    *,
    block_size: Size,
    count: Size,
    compressed_size: Size | None = None,
    stride: Size | None = None,
    initial: Count = 1,
    local: Count = 2,
    offset: int | Int[Array, ""] = 0,
    mask: Allowed = None,
) -> Bool[Array, "t s"]:
    """Chooses blocks of keys by the weights of attention to compressed keys, summed over heads.

        compressed[c]    = mean of key[c stride : c stride + compressed_size]
        weights[h, t]    = softmax over c of query[t, h] · compressed[c] / √k
        importance[t, b] = Σ_h Σ_c weights[h, t, c] (keys that c and block b share) / stride

    The last line is the paper's double sum p^slc[j] = Σ_m Σ_n p^cmp[(l' / d) j - m - n], in which
    blocks count from 1. A query sees a compressed block when it may attend to all of its keys. The
    first `initial` blocks, and the `local` blocks up to the query's own, are always chosen and are
    among the `count`. Of equal importance the first block is chosen. All heads of a query share
    the choice. Cost: (h t k + t s) s / stride.

        >>> rows = jnp.ones((4, 1))
        >>> print(native_blocks(rows, rows, block_size=1, count=2, local=1).astype(int))
        [[1 0 0 0]
         [1 1 0 0]
         [1 0 1 0]
         [1 0 0 1]]

    Args:
        block_size: number of keys in a selected block, the paper's l'.
        count: number of blocks, the paper's n. A query with fewer gets all of them.
        compressed_size: number of keys in a compressed block, l; block_size by default.
        stride: from one compressed block to the next, d; compressed_size by default.
        initial: number of blocks at the beginning that are always chosen.
        local: number of blocks up to the query's own that are always chosen.
        offset: position of the first query.
        mask: True where a query may attend to a key, in addition to causality.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, stride does not divide
            both sizes, or count is less than initial + local.
    """
    sizes = sizes_of("native_blocks", block_size, compressed_size, stride, count, initial, local)
    query = query if query.ndim == 3 else query[:, None]
    (t, _, size), s = query.shape, key.shape[0]
    allowed = allowed_past(mask, t, s, offset)
    key = jnp.where(allowed.any(0)[:, None], key, 0.0)
    query = jnp.where(allowed.any(1)[:, None, None], query, 0.0)
    compressed = windows(key, sizes).mean(1)
    seen = whole_windows(allowed, sizes)
    scores = jnp.einsum("thk,ck->htc", query * max(size, 1) ** -0.5, compressed)
    flat = softmax(scores.reshape(-1, scores.shape[2]), jnp.tile(seen, (scores.shape[0], 1)))
    return important_keys(flat.reshape(scores.shape).sum(0), allowed, sizes, offset)


def windows(rows: Float[Array, "s k"], sizes: Sizes) -> Float[Array, "c l k"]:
    """Returns the rows of each compressed block, zeros past the end."""
    places = _places(rows.shape[0], sizes)
    inside = places < rows.shape[0]
    return jnp.where(inside[..., None], rows[jnp.where(inside, places, 0)], 0.0)


def whole_windows(allowed: Bool[Array, "t s"], sizes: Sizes) -> Bool[Array, "t c"]:
    """Returns the compressed blocks of which a query may attend to every key."""
    places = _places(allowed.shape[1], sizes)
    inside = places < allowed.shape[1]
    return (inside[None] & allowed[:, jnp.where(inside, places, 0)]).all(2)


def _places(s: Any, sizes: Sizes) -> Int[Array, "c l"]:
    """Returns the places of the keys of each compressed block that begins before the end."""
    starts = sizes.stride * jnp.arange(count_of_blocks(s, sizes.stride))
    return starts[:, None] + jnp.arange(sizes.compressed_size)[None]


def important_keys(
    weights: Float[Array, "t c"],
    allowed: Bool[Array, "t s"],
    sizes: Sizes,
    offset: int | Int[Array, ""],
) -> Bool[Array, "t s"]:
    """Returns the keys of the blocks with the largest weights of their compressed blocks."""
    t, s = allowed.shape
    count = count_of_blocks(s, sizes.block_size)
    starts = sizes.stride * jnp.arange(weights.shape[1])[:, None]
    blocks = sizes.block_size * jnp.arange(count)[None]
    ends = jnp.minimum(starts + sizes.compressed_size, blocks + sizes.block_size)
    shared = jnp.maximum(ends - jnp.maximum(starts, blocks), 0) // sizes.stride
    importance = jnp.einsum("tc,cn->tn", weights, shared.astype(weights.dtype))
    forced = jnp.broadcast_to(blocks < sizes.initial * sizes.block_size, (t, count))
    for steps in range(sizes.local):
        forced = forced | blocks_back(t, s, sizes.block_size, offset, steps)
    open_blocks = eligible(allowed, sizes.block_size)
    chosen = largest(importance, open_blocks, sizes.count, forced)
    return keys_of(chosen, allowed, sizes.block_size)
