"""Locality-sensitive hashing of the Reformer: Kitaev et al. (2020), arXiv:2001.04451."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, Key

from jattn._axes import named_axes
from jattn._options import Size
from jattn._precision import at_least_float32
from jattn.masks.algebra import as_array
from jattn.normalizers.counted import Allowed


@named_axes
def lsh_rotations(
    rng: Key[Array, ""], *, size: Size, buckets: Size, rounds: Size = 1, dtype: DTypeLike = float
) -> Float[Array, "r k f"]:
    """Draws the random rotations of `lsh` from a standard normal.

    Args:
        size: of a query.
        buckets: an even number; half as many directions are drawn.
        rounds: number of independent hashes.

    Raises:
        ValueError: if a size is below 1, buckets is odd, or dtype is not a floating-point dtype.
    """
    if buckets % 2:
        raise ValueError(f"lsh_rotations: buckets is {buckets}, expected an even number")
    return jax.random.normal(rng, (rounds, size, buckets // 2), dtype)


@named_axes
@at_least_float32
def lsh(
    query: Float[Array, "s k"], rotations: Float[Array, "r k f"], *, mask: Allowed = None
) -> Bool[Array, "s s"]:
    """Chooses the tokens that fall into the query's bucket in some round, except itself.

        bucket[r, s] = argmax of [query[s] rotations[r], -query[s] rotations[r]]

    The paper names the rotations R and shares queries and keys: keys are the queries divided by
    their length, which has no effect on a bucket. A token attends to itself only if no other token
    is left to it, such as the first one under a causal mask. Of equal projections the first one
    gives the bucket. Several rounds choose the union of their buckets.

        >>> tokens = jnp.asarray([[1.0, 2.0], [3.0, 5.0], [-1.0, 0.0]])
        >>> print(lsh(tokens, jnp.ones((1, 2, 1))).astype(int))
        [[0 1 0]
         [1 0 0]
         [0 0 1]]

    The paper sorts tokens by bucket and attends in chunks of equal size, and so also cuts large
    buckets. Here a bucket is whole. Cost: r s (k f + s).

    Args:
        query: queries, which are the keys too.
        rotations: of `lsh_rotations`, for r rounds and 2 f buckets.
        mask: True where a token may attend to another; `masks.causal()` for decoders.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    s = query.shape[0]
    buckets = buckets_of(query, rotations)
    near = (buckets[:, :, None] == buckets[:, None, :]).any(0)
    itself = jnp.eye(s, dtype=bool)
    allowed = as_array(mask, s, s)
    chosen = near if allowed is None else near & jnp.asarray(allowed)
    others = chosen & ~itself
    return others | (chosen & itself & ~others.any(1, keepdims=True))


def buckets_of(query: Float[Array, "s k"], rotations: Float[Array, "r k f"]) -> Int[Array, "r s"]:
    """Returns the bucket of each token in each round, from 0 to 2 f - 1."""
    turned = jnp.einsum("sk,rkf->rsf", *lax.stop_gradient((query, rotations)))
    both = jnp.concatenate([turned, -turned], axis=2)
    return jnp.argmax(both, axis=2) if both.shape[2] else jnp.zeros(both.shape[:2], int)
