"""One query after another, with a state that passes from each to the next."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jattn._naming import named_value
from jattn._varying import scan
from jattn.attention.attend import Attended, Readable, readable
from jattn.normalizers import Normalizer

KeyMask = Bool[Array, " s"] | None
KeyBias = Float[Array, " s"] | None
Weigh = Callable[[Any, Any, KeyMask, KeyBias], tuple[Float[Array, " s"], Any]]


def attend_in_order(
    weigh: Weigh, state: Any, query: Any, of: Readable, value: Float[Array, "s v"]
) -> tuple[Attended, Any]:
    """Returns contexts and weights of all queries in order, and the state after the last.

    The arguments are those of `weights_in_order`, and the values, where unread rows are zero.
    """
    weights, state = weights_in_order(weigh, state, query, of)
    return attended_with(weights, value), state


def weights_in_order(
    weigh: Weigh, state: Any, query: Any, of: Readable
) -> tuple[Float[Array, "t s"], Any]:
    """Returns the weights of all queries in order, and the state after the last.

    A query that may attend to no key leaves the state as it is.

    Args:
        weigh: returns the weights of one query, zero where it may not attend, and the next state.
        state: the state before the first query.
        query: a tree of arrays along the queries, of which `weigh` gets a row.
        of: the pairs that are allowed and the bias.
    """

    def step(state, row):
        query, allowed, bias = row
        weights, after = weigh(state, query, allowed, bias)
        if allowed is not None:
            reads = allowed.any()
            after = jax.tree.map(lambda new, old: jnp.where(reads, new, old), after, state)
        return after, weights

    state, weights = scan(step, state, (query, of.allowed, of.bias))
    return weights, state


def attended_with(weights: Float[Array, "t s"], value: Float[Array, "s v"]) -> Attended:
    """Returns the weights and the sums of the values that they give."""
    weights = named_value(weights, "weight/weights")
    return Attended(named_value(jnp.einsum("ts,sv->tv", weights, value), "decode/context"), weights)


def normalized(
    scores: Float[Array, " s"], allowed: KeyMask, bias: KeyBias, normalizer: Normalizer
) -> Float[Array, " s"]:
    """Returns the weights that `normalizer` makes of the scores of one query and their bias."""
    scores = scores if bias is None else scores + bias
    if allowed is None:
        return normalizer(scores[None], None)[0]
    return normalizer(jnp.where(allowed, scores, 0.0)[None], allowed[None])[0]


def one_query(query: Any, key: Any, value: Any, mask: KeyMask, bias: KeyBias) -> Readable:
    """Returns one query as a sequence of one, and what it may read, zero elsewhere."""
    rows = jax.tree.map(lambda array: array[None], (query, mask, bias))
    return readable(rows[0], key, value, *rows[1:])


def only(attended: Attended) -> Attended:
    """Returns the context and the weights of the only query."""
    return Attended(attended.context[0], attended.weights[0])
