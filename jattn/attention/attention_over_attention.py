"""Attention over attention: Cui et al. (2017), arXiv:1607.04423."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jattn._axes import named_axes
from jattn._naming import named_value
from jattn._precision import at_least_float32
from jattn.attention.over_queries import over_queries
from jattn.masks.visible import only
from jattn.normalizers import Normalizer, softmax


class OverAttended(NamedTuple):
    """Weights of the keys, weights of the queries, and the weights that each query gives."""

    weights: Float[Array, " s"]
    query_weights: Float[Array, " t"]
    rows: Float[Array, "t s"]


@named_axes
@at_least_float32
def attention_over_attention(
    query: Float[Array, "t k"],
    key: Float[Array, "s k"],
    *,
    query_valid: Bool[Array, " t"] | None = None,
    key_valid: Bool[Array, " s"] | None = None,
    normalizer: Normalizer = softmax,
) -> OverAttended:
    """Averages the queries' attention to the keys with weights that the keys give the queries.

        rows[t, s]       = softmax over s of query[t] · key[s]
        query_weights[t] = mean over s of (softmax over t of query[t] · key[s])
        weights[s]       = Σ_t query_weights[t] rows[t, s]

    The queries are the words of a question and the keys those of a document. The paper names the
    scores M, the two distributions α and β and the result s, and answers with the word whose
    places have the largest sum of weights. No parameters are learned here.

    Args:
        query_valid: True for queries that are no padding; None for all.
        key_valid: the same for keys, over which the mean is taken.
        normalizer: maps a row of scores to a row of weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    query, key = only(query_valid, query), only(key_valid, key)
    scores = named_value(jnp.einsum("tk,sk->ts", query, key), "score/scores")
    valid = [
        jnp.ones(n, bool) if own is None else jnp.asarray(own)
        for own, n in zip((query_valid, key_valid), scores.shape, strict=True)
    ]
    allowed = valid[0][:, None] & valid[1][None]
    rows = named_value(normalizer(scores, allowed), "weight/rows")
    columns = named_value(over_queries(normalizer)(scores, allowed), "weight/columns")
    count = valid[1].astype(scores.dtype).sum()
    query_weights = columns.sum(1) / jnp.where(count == 0.0, 1.0, count)
    return OverAttended(jnp.einsum("t,ts->s", query_weights, rows), query_weights, rows)
