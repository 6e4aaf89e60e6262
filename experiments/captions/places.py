"""Attention on the places of a picture: Xu et al. (2015), arXiv:1502.03044.

Soft attention reads the mean of the places (section 4.2), hard attention one place that is drawn
(section 4.1). Both are ways to read a memory, for `jattn.bahdanau_step`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

import jattn
from jattn.layers import AffineParams, affine, init_affine

Choose = Callable[[Int[Array, ""], Float[Array, "t s"]], Float[Array, "t s"]]
AROUND = 3  # Places in each direction that a place's score reads past weights of.


class PlaceParams(NamedTuple):
    """Weights of the scores of places, and of the gate on what is read.

    `past` is a convolution of past weights, or None if scores do not depend on them.
    """

    scores: jattn.AdditiveParams
    past: Float[Array, "p c"] | None
    gate: AffineParams


class Past(NamedTuple):
    """The sum of the weights of all earlier words at each place, and those of the last word."""

    sum: Float[Array, " s"]
    last: Float[Array, " s"]


def init(
    rng: Key[Array, ""],
    *,
    query_size: int,
    key_size: int,
    units: int,
    coverage: bool,
    dtype: Any = float,
) -> PlaceParams:
    """Draws the weights; the gate starts nearly open."""
    score_rng, past_rng, gate_rng = jax.random.split(rng, 3)
    scores = jattn.init_additive(
        score_rng, query_size=query_size, key_size=key_size, units=units, bias=True, dtype=dtype
    )
    size = 2 * AROUND**2
    past = jax.random.normal(past_rng, (units, size), dtype) * size**-0.5 if coverage else None
    gate = init_affine(gate_rng, input_size=query_size, output_size=1, dtype=dtype)
    return PlaceParams(scores, past, gate._replace(bias=jnp.full(1, 2.0, dtype)))


def prepared(params: PlaceParams, rows: Float[Array, "s k"]) -> Float[Array, "s p"]:
    """Returns the part of the scores' hidden layer that is the same for all words."""
    return jnp.einsum("pk,sk->sp", params.scores.key_weight, rows)


def probabilities(
    params: PlaceParams, key_part: Float[Array, "s p"], query: Float[Array, "t q"], past: Past
) -> Float[Array, "t s"]:
    """Returns the weights of places for one word.

        score[s] = w · tanh(U query + V rows[s] + F past[around s] + b)

    That is additive attention, and F makes it location-aware as in Chorowski et al. (2015),
    arXiv:1506.07503, whose convolution reads the weights of the last step. This one
    also reads the sum of all earlier weights.
    """
    scores = params.scores
    hidden = key_part[None] + jnp.einsum("pq,tq->tp", scores.query_weight, query)[:, None]
    if params.past is not None:
        hidden = hidden + (around(jnp.stack(past)) @ params.past.T)[None]
    hidden = jnp.tanh(hidden if scores.bias is None else hidden + scores.bias[None, None])
    return jattn.softmax(jnp.einsum("p,tsp->ts", scores.score_weight, hidden), None)


def around(maps: Float[Array, "m s"]) -> Float[Array, "s c"]:
    """Returns the values of each map at the places around each place, 0 beyond the border."""
    side, edge = round(maps.shape[1] ** 0.5), AROUND // 2
    padded = jnp.pad(maps.reshape(-1, side, side), ((0, 0), (edge, edge), (edge, edge)))
    moved = [padded[:, y : y + side, x : x + side] for y in range(AROUND) for x in range(AROUND)]
    return jnp.stack(moved, -1).transpose(1, 2, 0, 3).reshape(maps.shape[1], -1)


def reader(
    params: PlaceParams,
    rows: Float[Array, "s v"],
    key_part: Float[Array, "s p"],
    past: Past,
    choose: Choose | None,
) -> Any:
    """Returns a function that reads beta times the mean of the places, or those chosen.

    beta = sigmoid(gate(state)) is of section 4.2.1. Soft attention, without `choose`, reads the
    mean. `choose(position, probabilities)` returns a row for each query that is zero except for a
    one at the place that is read. The result's weights have an axis of two in front: the
    probabilities, and the weights that were read by, through which no gradient flows if they were
    chosen.
    """

    def read(query, position):
        by_place = probabilities(params, key_part, query, past)
        chosen = by_place if choose is None else choose(position, by_place)
        context = jax.nn.sigmoid(affine(params.gate, query)) * (chosen @ rows)
        kept = chosen if choose is None else jax.lax.stop_gradient(chosen)
        return jattn.Attended(context, jnp.stack([by_place, kept]))

    return read


def likeliest(_position: Any, probabilities: Float[Array, "t s"]) -> Float[Array, "t s"]:
    """Chooses the most probable place."""
    count = probabilities.shape[-1]
    return jax.nn.one_hot(probabilities.argmax(-1), count, dtype=probabilities.dtype)


def drawn(noise: Float[Array, "t s"], takes_mean: Array) -> Choose:
    """Returns a function that draws places, or takes their probabilities where `takes_mean`.

    The paper takes the mean for half of the pictures, to lower the variance of the gradient.

    Args:
        noise: of a Gumbel distribution, for each word and place. The largest sum of it and a
            log-probability is at a place with that probability.
    """

    def choose(position, probabilities):
        logits = jnp.log(jax.lax.stop_gradient(probabilities)) + noise[position][None]
        one = jax.nn.one_hot(logits.argmax(-1), probabilities.shape[-1], dtype=probabilities.dtype)
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


def _log(probabilities: Array) -> Array:
    """Returns logarithms, 0 for a probability that is rounded to 0, where its slope is 0 too."""
    return jnp.log(jnp.where(probabilities > 0, probabilities, 1))
