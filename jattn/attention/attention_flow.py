"""Bidirectional attention flow: Seo et al. (2017), arXiv:1611.01603."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Key

from jattn._axes import named_axes
from jattn._naming import named_value
from jattn._options import Size
from jattn._precision import at_least_float32
from jattn.masks.visible import only
from jattn.normalizers import Normalizer, softmax


class AttentionFlowParams(NamedTuple):
    """The three parts of the score's weight: for a query, for a key, and for their product."""

    query_weight: Float[Array, " d"]
    key_weight: Float[Array, " d"]
    product_weight: Float[Array, " d"]


class AttentionFlow(NamedTuple):
    """The queries with what both directions found, and the weights of either direction."""

    context: Float[Array, "t d+d+d+d"]
    weights: Float[Array, "t s"]
    query_weights: Float[Array, " t"]


@named_axes
def init_attention_flow(
    rng: Key[Array, ""], *, size: Size, dtype: DTypeLike = float
) -> AttentionFlowParams:
    """Draws every weight from a normal with variance 1 / fan-in, of 3 size features."""
    return AttentionFlowParams(*jax.random.normal(rng, (3, size), dtype) * (3 * size) ** -0.5)


@named_axes
@at_least_float32
def attention_flow(
    params: AttentionFlowParams,
    query: Float[Array, "t d"],
    key: Float[Array, "s d"],
    *,
    query_valid: Bool[Array, " t"] | None = None,
    key_valid: Bool[Array, " s"] | None = None,
    normalizer: Normalizer = softmax,
) -> AttentionFlow:
    """Attends from each query to the keys, and from the best keys back to the queries (BiDAF).

        scores[t, s]     = query_weight · query[t] + key_weight · key[s]
                           + product_weight · (query[t] ∘ key[s])
        read[t]          = Σ_s softmax over s of scores[t, s] key[s]
        query_weights[t] = softmax over t of max_s scores[t, s]
        back             = Σ_t query_weights[t] query[t]
        context[t]       = [query[t]; read[t]; query[t] ∘ read[t]; query[t] ∘ back]

    The queries are the words of a paragraph, which the paper calls the context, and the keys those
    of a question. It names them h_t and u_j, the scores S, the results ũ, h̃ and G, and calls the
    two directions context-to-query and query-to-context.

    Args:
        query_valid: True for queries that are no padding; others have a context of zeros.
        key_valid: the same for keys. Padded keys are left out of the maximum too.
        normalizer: maps a row of scores to a row of weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    query, key = only(query_valid, query), only(key_valid, key)
    of_query = jnp.einsum("d,td->t", params.query_weight, query)[:, None]
    of_key = jnp.einsum("d,sd->s", params.key_weight, key)[None]
    products = jnp.einsum("td,sd->ts", query * params.product_weight[None], key)
    scores = named_value(of_query + of_key + products, "score/scores")
    valid = [
        jnp.ones(n, bool) if own is None else jnp.asarray(own)
        for own, n in zip((query_valid, key_valid), scores.shape, strict=True)
    ]
    allowed = valid[0][:, None] & valid[1][None]
    weights = named_value(normalizer(scores, allowed), "weight/weights")
    read = jnp.einsum("ts,sd->td", weights, key)
    lowest = jnp.finfo(scores.dtype).min
    best = jnp.where(allowed, scores, lowest).max(1, initial=lowest)
    some = allowed.any(1)[None]
    query_weights = named_value(normalizer(best[None], some)[0], "weight/query_weights")
    back = jnp.einsum("t,td->d", query_weights, query)
    parts = [query, read, query * read, query * back[None]]
    return AttentionFlow(jnp.concatenate(parts, 1), weights, query_weights)
