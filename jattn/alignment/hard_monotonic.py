"""Monotonic attention at test time: Raffel et al. (2017), arXiv:1704.00784, section 2.2."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jattn.alignment.in_order import KeyBias, KeyMask, attend_in_order, one_query, only
from jattn.alignment.monotonic import (
    MonotonicParams,
    arrivals,
    monotonic_energies,
    monotonic_start,
)
from jattn.mechanism import Attended, Bias, MaskLike, at_least_float32, named_axes, readable


@named_axes
@at_least_float32
def hard_monotonic(
    params: MonotonicParams,
    query: Float[Array, "t q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    mask: MaskLike = None,
    bias: Bias = None,
    initial: Float[Array, " s"] | None = None,
) -> Attended:
    """Attends to the first key with a positive energy, from the previous one on.

    It is `monotonic` with stop[s] = 1 where energy[s] > 0 and 0 elsewhere, which is the process at
    test time. Once no key is chosen, the weights of this query and all later ones are zero. The
    energies have no gradient: train with `monotonic`.

    Args:
        mask: as in `monotonic`.
        bias: as in `monotonic`.
        initial: as in `monotonic`.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    state = monotonic_start(key) if initial is None else initial
    of = readable(query, (key, state), value, mask, bias)
    key, state = of.key
    energy = monotonic_energies(params, of.query, key)
    return attend_in_order(chosen, state, energy, of, of.value)[0]


@named_axes
@at_least_float32
def hard_monotonic_step(
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
    attended, state = attend_in_order(chosen, state, energy, of, of.value)
    return only(attended), state


def chosen(
    previous: Float[Array, " s"], energy: Float[Array, " s"], allowed: KeyMask, bias: KeyBias
) -> tuple[Float[Array, " s"], Float[Array, " s"]]:
    """Returns the weights of one query that stops where its energy is positive, twice."""
    stops = (energy if bias is None else energy + bias) > 0.0
    stops = stops if allowed is None else stops & allowed
    arrive = arrivals((~stops).astype(energy.dtype), previous)
    weights = jnp.where(stops, arrive, 0.0)
    return weights, weights
