"""Mixture of block attention: Lu et al. (2025), arXiv:2502.13189."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jattn._axes import named_axes
from jattn._options import Count, Size
from jattn._precision import at_least_float32
from jattn.normalizers.counted import Allowed
from jattn.selectors.blocks import allowed_past, blocks_back, keys_of, sums
from jattn.selectors.top_k import largest


@named_axes
@at_least_float32
def moba(
    query: Float[Array, "t k"],
    key: Float[Array, "s k"],
    *,
    block_size: Size,
    count: Count | Int[Array, ""],
    offset: int | Int[Array, ""] = 0,
    mask: Allowed = None,
) -> Bool[Array, "t s"]:
    """Chooses blocks of keys by the dot product of the query with the mean of a block's keys.

        score[t, b] = query[t] · mean of the keys of block b that query t may attend to

    The query's own block is always chosen and is one of the `count`. Other blocks are those before
    it. Keys after the query's position are hidden. Of equal scores the first block is chosen.

        >>> print(moba(jnp.eye(4, 2), jnp.eye(4, 2), block_size=2, count=1).astype(int))
        [[1 0 0 0]
         [1 1 0 0]
         [0 0 1 0]
         [0 0 1 1]]

    Cost: t s k, since means are taken of the keys that each query may attend to. The paper's
    means, of whole blocks, are the same without `mask`.

    Args:
        block_size: number of keys in a block; the last block may be shorter.
        count: number of blocks, the paper's k. A query with fewer gets all of them.
        offset: position of the first query.
        mask: True where a query may attend to a key, in addition to causality.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, block_size is less than 1,
            or count is negative.
    """
    (t, _), s = query.shape, key.shape[0]
    allowed = allowed_past(mask, t, s, offset)
    scores = lax.stop_gradient(jnp.where(allowed, jnp.einsum("tk,sk->ts", query, key), 0.0))
    sizes = sums(allowed.astype(scores.dtype), block_size)
    means = sums(scores, block_size) / jnp.maximum(sizes, 1.0)
    own = blocks_back(t, s, block_size, offset, 0)
    return keys_of(largest(means, sizes > 0.0, count, own), allowed, block_size)
