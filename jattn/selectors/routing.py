"""Clusters of the routing transformer: Roy et al. (2021), arXiv:2003.05997."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jattn._axes import named_axes
from jattn._options import Count
from jattn._precision import at_least_float32
from jattn.masks.algebra import as_array
from jattn.normalizers.counted import Allowed
from jattn.selectors.top_k import largest


@named_axes
@at_least_float32
def routing(
    query: Float[Array, "t k"],
    key: Float[Array, "s k"],
    centroids: Float[Array, "c k"],
    *,
    count: Count | Int[Array, ""] | None = None,
    mask: Allowed = None,
) -> Bool[Array, "t s"]:
    """Chooses the keys that are in a cluster of the query's.

        affinity[c, t] = centroids[c] · (query[t] - its mean) / its standard deviation

    and the same for keys. The normalization is layer norm without scale and bias, after which the
    largest dot product with centroids of equal length is the smallest distance. A vector whose
    features are all equal becomes zero. Of equal affinities the first is taken.

        >>> tokens = jnp.asarray([[1.0, 2.0], [3.0, 5.0], [1.0, 0.0]])
        >>> print(routing(tokens, tokens, jnp.asarray([[1.0, -1.0], [-1.0, 1.0]])).astype(int))
        [[1 1 0]
         [1 1 0]
         [0 0 1]]

    Args:
        centroids: the paper's μ, which it moves to the running means of their members.
        count: None puts each query and key into its nearest cluster. A number lets each cluster
            take that many queries and that many keys, as the paper's algorithm does so that all
            clusters are of one size. A token may then be in several clusters or in none, and a
            query in none attends to nothing.
        mask: True where a query may attend to a key. Keys that no query may attend to, and
            queries that may attend to no key, take no place in a cluster.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or count is negative.
    """
    t, s = query.shape[0], key.shape[0]
    allowed = as_array(mask, t, s)
    allowed = jnp.ones((t, s), bool) if allowed is None else jnp.asarray(allowed)
    of_query = members(query, centroids, allowed.any(1), count)
    of_key = members(key, centroids, allowed.any(0), count)
    return allowed & (of_query[:, :, None] & of_key[:, None, :]).any(0)


def members(
    rows: Float[Array, "s k"],
    centroids: Float[Array, "c k"],
    valid: Bool[Array, " s"],
    count: int | Int[Array, ""] | None,
) -> Bool[Array, "c s"]:
    """Returns the rows of each cluster."""
    rows, centroids = lax.stop_gradient((jnp.where(valid[:, None], rows, 0.0), centroids))
    centred = rows - rows.sum(1, keepdims=True) / max(rows.shape[1], 1)
    variance = (centred**2).sum(1, keepdims=True) / max(rows.shape[1], 1)
    deviation = jnp.sqrt(jnp.where(variance == 0.0, 1.0, variance))
    affinity = jnp.einsum("ck,sk->cs", centroids, centred) / deviation.T
    if count is None:
        return largest(affinity.T, jnp.ones_like(affinity.T, bool), 1).T & valid[None]
    return largest(affinity, jnp.broadcast_to(valid[None], affinity.shape), count)
