"""Attention on the places of a picture: Xu et al. (2015), arXiv:1502.03044.

Soft attention reads the mean of the places (section 4.2), hard attention one place that is drawn
(section 4.1). Here they are ways to read a memory, for `jattn.bahdanau_decode`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

import jattn
from jattn.layers import LinearParams, init_linear, linear

Choose = Callable[[Int[Array, ""], Float[Array, "t s"]], Float[Array, "t s"]]


class PlaceParams(NamedTuple):
    """Weights of the scores of places, and of the gate on what is read."""

    scores: jattn.AdditiveParams
    gate: LinearParams


def init(
    rng: Key[Array, ""], *, query_size: int, key_size: int, units: int, dtype: Any = float
) -> PlaceParams:
    """Draws the weights; the gate starts nearly open."""
    score_rng, gate_rng = jax.random.split(rng)
    scores = jattn.init_additive(
        score_rng, query_size=query_size, key_size=key_size, units=units, bias=True, dtype=dtype
    )
    gate = init_linear(gate_rng, input_size=query_size, output_size=1, dtype=dtype)
    return PlaceParams(scores, gate._replace(bias=jnp.full(1, 2.0, dtype)))


def soft(params: PlaceParams, memory: jattn.Memory) -> Any:
    """Reads beta times the mean of the places; beta = sigmoid(gate(state)), section 4.2.1."""
    bound = jattn.read_by(jattn.additive_attention)(params.scores, memory)

    def read(query, position):
        context, weights = bound(query, position)
        return jattn.Attended(_gated(params, query, context), weights)

    return read


def hard(choose: Choose) -> Any:
    """Reads beta times the places that `choose` gives from their probabilities.

    `choose(position, probabilities)` returns a row for each query, zero except for a one at the
    place that is read. The result's weights have an axis of two in front: the probabilities, and
    the chosen places, through which no gradient flows.
    """

    def attention(params: PlaceParams, memory: jattn.Memory) -> Any:
        bound = jattn.read_by(jattn.additive_attention)(params.scores, memory)

        def read(query, position):
            probabilities = bound(query, position).weights
            chosen = choose(position, probabilities)
            context = jnp.einsum("ts,sv->tv", chosen, memory.values)
            both = jnp.stack([probabilities, jax.lax.stop_gradient(chosen)])
            return jattn.Attended(_gated(params, query, context), both)

        return read

    return attention


def likeliest(_position: Any, probabilities: Float[Array, "t s"]) -> Float[Array, "t s"]:
    """Chooses the most probable place."""
    count = probabilities.shape[-1]
    return jax.nn.one_hot(probabilities.argmax(-1), count, dtype=probabilities.dtype)


def drawn(rng: Key[Array, ""], takes_mean: Array) -> Choose:
    """Returns a function that draws places, or takes their probabilities where `takes_mean`.

    The paper takes the mean for half of the pictures, to lower the variance of the gradient.
    """

    def choose(position, probabilities):
        key = jax.random.fold_in(rng, position)
        places = jax.random.categorical(key, jnp.log(jax.lax.stop_gradient(probabilities)), axis=-1)
        one = jax.nn.one_hot(places, probabilities.shape[-1], dtype=probabilities.dtype)
        return jnp.where(takes_mean, probabilities, one)

    return choose


def hard_objective(
    log_likelihood: Float[Array, ""],
    probabilities: Float[Array, "t s"],
    chosen: Float[Array, "t s"],
    *,
    baseline: Float[Array, ""],
    reward_weight: float,
    entropy_weight: float,
) -> Float[Array, ""]:
    """Returns a number whose gradient is the paper's learning rule for one caption.

        d log p(y|s) / dW + reward_weight (log p(y|s) - baseline) d log p(s) / dW
            + entropy_weight d H[s] / dW

    With weights 1 and 0 its mean over places drawn from p(s) is the gradient of the bound
    Σ_s p(s) log p(y|s), equation 10, for any baseline that does not depend on them.

    Args:
        log_likelihood: log p(y|s) of the whole caption, for the places that were chosen.
        probabilities: of the places at each word; zero at words that do not count.
        chosen: the places, as one-hot rows; zero at words that do not count.
        baseline: a moving average of earlier log-likelihoods.
    """
    advantage = jax.lax.stop_gradient(log_likelihood - baseline)
    log_probability = jnp.sum(jax.lax.stop_gradient(chosen) * _log(probabilities))
    entropy = -jnp.sum(probabilities * _log(probabilities))
    return log_likelihood + reward_weight * advantage * log_probability + entropy_weight * entropy


def doubly_stochastic_penalty(weights: Float[Array, "t s"]) -> Float[Array, ""]:
    """Returns Σ_s (1 - Σ_t weights[t, s])², of equation 14."""
    return jnp.sum((1 - weights.sum(0)) ** 2)


def _gated(params: PlaceParams, query: Array, context: Array) -> Array:
    return jax.nn.sigmoid(linear(params.gate, query)) * context


def _log(probabilities: Array) -> Array:
    """Returns logarithms, 0 for a probability that is rounded to 0, where its slope is 0 too."""
    return jnp.log(jnp.where(probabilities > 0, probabilities, 1))
