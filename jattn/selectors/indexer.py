"""The lightning indexer of DeepSeek-V3.2: DeepSeek-AI (2025), arXiv:2512.02556, section 2.1."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jattn._axes import named_axes
from jattn._naming import named_value
from jattn._precision import at_least_float32
from jattn.normalizers.counted import Allowed, Scores, counted, largest_of


@named_axes
@at_least_float32
def indexer_scores(
    query: Float[Array, "t h k"], weight: Float[Array, "t h"], key: Float[Array, "s k"]
) -> Float[Array, "t s"]:
    """Scores keys for a choice by `top_k`, with a few small heads that share their keys.

        scores[t, s] = Σ_h weight[t, h] max(query[t, h] · key[s], 0)

    The paper names these I, w, q and k. Its code multiplies the weights by 1 / √(h k), which
    changes the loss and not the choice. A choice is `top_k(scores, mask, count=...)`. Padding has
    scores too, which the mask of that call hides.

        >>> keys = jnp.asarray([[3.0, -5.0], [1.0, 0.0]])
        >>> print(indexer_scores(jnp.eye(2)[None], jnp.ones((1, 2)), keys))
        [[3. 1.]]

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    products = jnp.einsum("thk,sk->hts", query, key)
    positive = jnp.where(products > 0.0, products, 0.0)
    return named_value(jnp.einsum("th,hts->ts", weight, positive), "score/scores")


@named_axes
@at_least_float32
def indexer_loss(
    scores: Scores, weights: Float[Array, "h t s"], mask: Allowed = None
) -> Float[Array, " t"]:
    """Returns the divergence of each query's softmax of scores from the weights of its attention.

        target[t, s] = Σ_h weights[h, t, s] / Σ_h Σ_s weights[h, t, s]
        loss[t]      = Σ_s target[t, s] log(target[t, s] / softmax(scores)[t, s])

    The paper names the target p and sums over the queries; others take their mean. Its attention is
    not trained by this loss: pass `jax.lax.stop_gradient(weights)`. After the first stage of its
    training, `mask` is the choice of `top_k`, to which target and softmax are confined.

        >>> print(jnp.exp(indexer_loss(jnp.zeros((1, 4)), jnp.eye(1, 4)[None])).round(3))
        [4.]

    Args:
        scores: of `indexer_scores`.
        weights: of the attention's heads, not negative. A weight of zero adds nothing, and has no
            gradient.
        mask: True where a query may attend to a key. A query without weights has a loss of zero.

    Raises:
        ValueError: if arguments disagree about the size of an axis, or the mask is not boolean.
    """
    mask, scores = counted(scores, mask)
    weights = jnp.where(mask[None], weights, 0.0)
    highest = lax.stop_gradient(weights.max(initial=0.0))  # So that no sum overflows.
    summed = (weights / jnp.where(highest == 0.0, 1.0, highest)).sum(0)
    total = summed.sum(-1, keepdims=True)
    target = summed / jnp.where(total == 0.0, 1.0, total)
    largest = largest_of(scores, mask)
    shifted = jnp.where(mask, scores, largest) - largest
    exponentials = jnp.where(mask, jnp.exp(shifted), 0.0).sum(-1, keepdims=True)
    log_softmax = shifted - jnp.log(jnp.where(exponentials == 0.0, 1.0, exponentials))
    counts = target > 0.0
    log_target = jnp.log(jnp.where(counts, target, 1.0))
    return jnp.where(counts, target * (log_target - log_softmax), 0.0).sum(-1)
