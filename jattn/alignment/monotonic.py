"""Monotonic attention: Raffel et al. (2017), arXiv:1704.00784, equations 11 to 14."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn.alignment.in_order import KeyBias, KeyMask, attend_in_order, one_query, only
from jattn.alignment.recurrence import recurrence
from jattn.alignment.scoring import hidden_of_pairs
from jattn.attention.additive import init_additive
from jattn.mechanism import (
    Attended,
    Bias,
    MaskLike,
    Size,
    at_least_float32,
    named_axes,
    readable,
)


class MonotonicParams(NamedTuple):
    """Weights of the network of `p` units that decides where to stop, its gain and its offset."""

    query_weight: Float[Array, "p q"]
    key_weight: Float[Array, "p k"]
    score_weight: Float[Array, " p"]
    gain: Float[Array, ""]
    offset: Float[Array, ""]
    bias: Float[Array, " p"] | None = None


@named_axes
def init_monotonic(
    rng: Key[Array, ""],
    *,
    query_size: Size,
    key_size: Size,
    units: Size,
    offset: float = -4.0,
    bias: bool = True,
    dtype: DTypeLike = float,
) -> MonotonicParams:
    """Draws weights from a normal with variance 1 / fan-in; the gain is units^(-1/2).

    A negative offset lets the first queries see far: stopping is unlikely at any one key.
    """
    sizes = {"query_size": query_size, "key_size": key_size, "units": units}
    additive = init_additive(rng, **sizes, bias=bias, dtype=dtype)
    numbers = jnp.asarray(units**-0.5, dtype), jnp.asarray(offset, dtype)
    return MonotonicParams(*additive[:3], *numbers, additive.bias)


@named_axes
@at_least_float32
def monotonic(
    params: MonotonicParams,
    query: Float[Array, "t q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    mask: MaskLike = None,
    bias: Bias = None,
    initial: Float[Array, " s"] | None = None,
) -> Attended:
    """Attends to the first key that is chosen from the previous one on, in expectation.

        energy[s] = gain score_weight / |score_weight| · tanh(query_weight query[t]
                        + key_weight key[s] + params.bias) + offset
        stop[s] = sigmoid(energy[s])
        arrive[s] = (1 - stop[s - 1]) arrive[s - 1] + previous[s]
        weights[s] = stop[s] arrive[s]

    `previous` are the weights of query t - 1. The paper names these e, p, q, α, and the parameters
    g, v, W, V, b and r. This is for training; `hard_monotonic` is the process at test time. A row
    sums to at most one: the rest stops at no key. All energies are computed at once, in O(t s p)
    memory, and the recurrence over keys by an associative scan, without a division.

    Args:
        mask: True where a query may attend to a key; it never stops at others. A query with no
            key gets context zero and leaves the previous weights as they are.
        bias: added to the energies, such as noise in training; -inf is the same as a mask.
        initial: the weights before the first query, all at the first key by default.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    state = monotonic_start(key) if initial is None else initial
    of = readable(query, (key, state), value, mask, bias)
    key, state = of.key
    energy = monotonic_energies(params, of.query, key)
    return attend_in_order(expected, state, energy, of, of.value)[0]


@named_axes
def monotonic_start(key: Float[Array, "s k"]) -> Float[Array, " s"]:
    """Returns the state before the first query: a weight of one at the first key."""
    return (jnp.arange(key.shape[0]) == 0).astype(key.dtype)


@named_axes
@at_least_float32
def monotonic_step(
    params: MonotonicParams,
    state: Float[Array, " s"],
    query: Float[Array, " q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    mask: KeyMask = None,
    bias: KeyBias = None,
) -> tuple[Attended, Float[Array, " s"]]:
    """Returns context and weights of one query, and the next state: its weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    of = one_query(query, key, value, mask, bias)
    energy = monotonic_energies(params, of.query, of.key)
    attended, state = attend_in_order(expected, state, energy, of, of.value)
    return only(attended), state


@named_axes
@at_least_float32
def monotonic_energies(
    params: MonotonicParams, query: Float[Array, "t q"], key: Float[Array, "s k"]
) -> Float[Array, "t s"]:
    """Returns the energy of stopping for each pair; a score weight of zeros gives the offset."""
    hidden = hidden_of_pairs(params, query, key)
    square = (params.score_weight**2).sum()
    direction = params.score_weight / jnp.sqrt(jnp.where(square == 0.0, 1.0, square))
    return params.gain * jnp.einsum("p,tsp->ts", direction, hidden) + params.offset


def expected(
    previous: Float[Array, " s"], energy: Float[Array, " s"], allowed: KeyMask, bias: KeyBias
) -> tuple[Float[Array, " s"], Float[Array, " s"]]:
    """Returns the weights of one query in expectation, twice: they are the next state."""
    energy = energy if bias is None else energy + bias
    stop, go_on = jax.nn.sigmoid(energy), jax.nn.sigmoid(-energy)
    if allowed is not None:
        stop, go_on = jnp.where(allowed, stop, 0.0), jnp.where(allowed, go_on, 1.0)
    weights = stop * arrivals(go_on, previous)
    return weights, weights


def arrivals(go_on: Float[Array, " s"], previous: Float[Array, " s"]) -> Float[Array, " s"]:
    """Returns arrive[s] = go_on[s - 1] arrive[s - 1] + previous[s]."""
    return recurrence(jnp.pad(go_on, (1, 0))[: previous.shape[0]], previous)
