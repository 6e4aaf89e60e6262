"""Forward attention: Zhang, Ling & Dai (2018), arXiv:1807.06736."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jattn.alignment.in_order import KeyBias, KeyMask, attend_in_order, one_query, only
from jattn.alignment.scoring import additive_scores
from jattn.attention.additive import AdditiveParams
from jattn.attention.attend import Readable
from jattn.mechanism import Attended, Bias, MaskLike, at_least_float32, named_axes, readable


@named_axes
@at_least_float32
def forward(
    params: AdditiveParams,
    query: Float[Array, "t q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    mask: MaskLike = None,
    bias: Bias = None,
    initial: Float[Array, " s"] | None = None,
    transition: Float[Array, " t"] | None = None,
) -> Attended:
    """Attends near the previous query's keys: each step stays at a key or goes on to the next.

        go_on = sigmoid(transition[t])
        reach[s] = (1 - go_on) previous[s] + go_on previous[s - 1]
        weights[s] = reach[s] exp(scores[s]) / Σ reach exp(scores)

    Scores are those of additive attention, and `previous` are the weights of query t - 1. The paper
    names the parts y_t = softmax(scores), α_t and u_{t-1}, the probability of the transition agent,
    a network that reads context, state and last output. It is exact where scores of keys out
    of reach are much larger: only those within reach are compared, and nothing is clamped.

    Args:
        params: drawn by `init_additive`.
        mask: True where a query may attend to a key. A query with no key within reach gets context
            zero and leaves the previous weights as they are.
        bias: added to the scores; -inf is the same as a mask.
        initial: the weights before the first query, all at the first key by default.
        transition: the logit of each query's probability of going on, the agent's output before
            its sigmoid. By default 0, one half: the paper's forward attention without an agent.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    state = forward_start(key) if initial is None else initial
    of = readable((query, transition), (key, state), value, mask, bias)
    key, state = of.key
    return _attend(params, state, of, key)[0]


@named_axes
def forward_start(key: Float[Array, "s k"]) -> Float[Array, " s"]:
    """Returns the state before the first query: a weight of one at the first key."""
    return (jnp.arange(key.shape[0]) == 0).astype(key.dtype)


@named_axes
@at_least_float32
def forward_step(
    params: AdditiveParams,
    state: Float[Array, " s"],
    query: Float[Array, " q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    mask: KeyMask = None,
    bias: KeyBias = None,
    transition: Float[Array, ""] | None = None,
) -> tuple[Attended, Float[Array, " s"]]:
    """Returns context and weights of one query, and the next state: its weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    of = one_query((query, transition), key, value, mask, bias)
    attended, state = _attend(params, state, of, of.key)
    return only(attended), state


def _attend(
    params: AdditiveParams, initial: Float[Array, " s"], of: Readable, key: Float[Array, "s k"]
) -> tuple[Attended, Float[Array, " s"]]:
    query, transition = of.query
    scores = additive_scores(params, query, key)
    lowest = jnp.finfo(scores.dtype).min

    def weigh(previous, row, allowed, bias):
        scores, transition = row
        scores = scores if bias is None else scores + bias
        moved = jnp.pad(previous, (1, 0))[: previous.shape[0]]
        reach = previous + moved
        if transition is not None:
            reach = jax.nn.sigmoid(-transition) * previous + jax.nn.sigmoid(transition) * moved
        if allowed is not None:
            reach = jnp.where(allowed, reach, 0.0)
        largest = jnp.where(reach > 0.0, scores, lowest).max(initial=lowest)
        above = scores - lax.stop_gradient(largest)
        parts = reach * jnp.exp(jnp.where(above > 0.0, 0.0, above))
        total = parts.sum()
        weights = parts / jnp.where(total == 0.0, 1.0, total)
        return weights, jnp.where(total == 0.0, previous, weights)

    return attend_in_order(weigh, initial, (scores, transition), of, of.value)
