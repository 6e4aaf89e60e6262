"""Monotonic infinite lookback: Arivazhagan et al. (2019), arXiv:1906.05218."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jattn.alignment.in_order import (
    KeyBias,
    KeyMask,
    attended_with,
    one_query,
    only,
    weights_in_order,
)
from jattn.alignment.mocha import MochaParams
from jattn.alignment.monotonic import expected, monotonic_energies, monotonic_start
from jattn.alignment.recurrence import recurrence
from jattn.alignment.scoring import additive_scores
from jattn.attention.attend import Readable
from jattn.mechanism import Attended, Bias, MaskLike, at_least_float32, named_axes, readable


@named_axes
@at_least_float32
def infinite_lookback(
    params: MochaParams,
    query: Float[Array, "t q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    mask: MaskLike = None,
    bias: Bias = None,
    initial: Float[Array, " s"] | None = None,
) -> Attended:
    """Attends to all keys up to the one where monotonic attention stops, by their scores.

        weights[s] = Σ_{k ≥ s} stopped[k] exp(scores[s]) / Σ_{l ≤ k} exp(scores[l])

    It is `mocha` with chunks that begin at the first key, in O(t s). The paper calls it MILk and
    names these β, α and u. Both sums are recurrences along the keys whose factors are at most one.

    Args:
        params: drawn by `init_mocha`.
        mask: as in `mocha`.
        bias: as in `mocha`.
        initial: as in `mocha`.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    state = monotonic_start(key) if initial is None else initial
    of = readable(query, (key, state), value, mask, bias)
    key, state = of.key
    return _attend(params, state, of, key)[0]


@named_axes
@at_least_float32
def infinite_lookback_step(
    params: MochaParams,
    state: Float[Array, " s"],
    query: Float[Array, " q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    mask: KeyMask = None,
    bias: KeyBias = None,
) -> tuple[Attended, Float[Array, " s"]]:
    """Returns context and weights of one query, and the next state: where it stopped.

    The first state is `monotonic_start(key)`.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    of = one_query(query, key, value, mask, bias)
    attended, state = _attend(params, state, of, of.key)
    return only(attended), state


def _attend(
    params: MochaParams, initial: Float[Array, " s"], of: Readable, key: Float[Array, "s k"]
) -> tuple[Attended, Float[Array, " s"]]:
    energy = monotonic_energies(params.monotonic, of.query, key)
    stopped, state = weights_in_order(expected, initial, energy, of)
    scores = additive_scores(params.chunk, of.query, key)
    allowed = jnp.ones_like(scores, bool) if of.allowed is None else of.allowed
    return attended_with(jax.vmap(_so_far)(stopped, scores, allowed), of.value), state


def _so_far(
    stopped: Float[Array, " s"], scores: Float[Array, " s"], allowed: Bool[Array, " s"]
) -> Float[Array, " s"]:
    """Returns for each key the sum of its shares in all that ends at it or later."""
    lowest = jnp.finfo(scores.dtype).min
    largest = lax.cummax(lax.stop_gradient(jnp.where(allowed, scores, lowest)))
    parts = jnp.where(allowed, jnp.exp(jnp.where(allowed, scores - largest, 0.0)), 0.0)
    # From one key to the next, sums shrink as the largest score grows.
    shrink = jnp.exp(jnp.pad(largest, (1, 0), constant_values=lowest)[:-1] - largest)
    sums = recurrence(shrink, parts)
    inverse = 1.0 / jnp.where(sums == 0.0, 1.0, sums)
    later = recurrence(jnp.pad(shrink, (0, 1))[1:], stopped * inverse, reverse=True)
    return parts * later
