"""Monotonic alignment search: Kim et al. (2020), arXiv:2005.11129."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jattn._options import check_length
from jattn._varying import scan
from jattn.mechanism import at_least_float32, named_axes

Length = int | Int[Array, ""] | None


@named_axes
@at_least_float32
def monotonic_alignment_search(
    log_likelihoods: Float[Array, "t s"],
    *,
    query_length: Length = None,
    key_length: Length = None,
) -> Float[Array, "t s"]:
    """Returns the path with the largest sum of log-likelihoods from the first key to the last.

        best[t, s] = log_likelihoods[t, s] + max(best[t - 1, s], best[t - 1, s - 1])

    Each query has one key, that of the query before or the next, and no key is left out. The result
    is 1 on the path and 0 elsewhere. The paper names best Q. Its queries are frames and its keys
    tokens, and it calls the sums over queries durations. Of equal sums, the path is taken that
    stays longer at a later key. The path has no gradient. With fewer queries than keys there is no
    path, and the result is zero.

        >>> print(monotonic_alignment_search(jnp.array([[0.0, 9.0], [0.0, 1.0], [2.0, 1.0]])))
        [[1. 0.]
         [0. 1.]
         [0. 1.]]

    Args:
        query_length: number of valid queries, all of them by default.
        key_length: number of valid keys, all of them by default.

    Raises:
        ValueError: if a length is negative or too long.
    """
    t, s = log_likelihoods.shape
    check_length("monotonic_alignment_search: query_length", query_length, t, "t")
    check_length("monotonic_alignment_search: key_length", key_length, s, "s")
    queries = jnp.asarray(t if query_length is None else query_length).astype(int)
    keys = jnp.asarray(s if key_length is None else key_length).astype(int)
    places = jnp.arange(s)

    def forward(best, row):
        scores, index = row
        behind = jnp.pad(best, (1, 0), constant_values=-jnp.inf)[:s]
        start = jnp.where(places == 0, jnp.zeros_like(scores), -jnp.inf)
        moves = (behind > best) & (index > 0)
        best = jnp.where(index == 0, start, jnp.where(moves, behind, best))
        return best + scores, moves

    def backward(place, row):
        moves, index = row
        here = (places == place) & (index < queries)
        return place - (here & moves).any().astype(place.dtype), here

    rows = jnp.arange(t)
    scores = lax.stop_gradient(log_likelihoods)
    _, moves = scan(forward, jnp.zeros_like(scores[:1].sum(0)), (scores, rows))
    _, path = scan(backward, keys - 1, (moves, rows), reverse=True)
    return (path & (queries >= keys)).astype(scores.dtype)
