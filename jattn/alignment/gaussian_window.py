"""Gaussian window: Graves (2013), arXiv:1308.0850."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn.alignment.in_order import KeyMask, attended_with, one_query, only
from jattn.attention.attend import Readable
from jattn.mechanism import Attended, MaskLike, Size, at_least_float32, named_axes, readable


class GaussianWindowParams(NamedTuple):
    """Weights from a query to the height, the sharpness and the step of each of `m` Gaussians."""

    weight: Float[Array, "3 m q"]
    bias: Float[Array, "3 m"]


@named_axes
def init_gaussian_window(
    rng: Key[Array, ""], *, query_size: Size, components: Size, dtype: DTypeLike = float
) -> GaussianWindowParams:
    """Draws the weight from a normal with variance 1 / query_size; the bias starts at zero."""
    weight = jax.random.normal(rng, (3, components, query_size), dtype) * query_size**-0.5
    return GaussianWindowParams(weight, jnp.zeros((3, components), dtype))


@named_axes
@at_least_float32
def gaussian_window(
    params: GaussianWindowParams,
    query: Float[Array, "t q"],
    value: Float[Array, "s v"],
    *,
    mask: MaskLike = None,
    initial: Float[Array, " m"] | None = None,
) -> Attended:
    """Attends to places near `m` centres, each of which moves on by a step of each query.

        (height, sharpness, step)[t] = exp(weight query[t] + bias)
        centre[t] = centre[t - 1] + step[t]
        weights[t, s] = Σ_m height[t, m] exp(-sharpness[t, m] (centre[t, m] - s)²)

    The paper names these α, β, κ̂ or its exponential, κ and φ. There are no keys, and nothing is
    normalized: a row may sum to more than one. Places count from 0. The paper's count from 1, so
    its centres are larger by one; start from `initial` - 1 to take over trained weights.

    Args:
        mask: True where a query may attend to a value; other weights are zero. A query with none
            gets context zero and leaves the centres as they are.
        initial: the centres before the first query, zero by default.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    initial = gaussian_window_start(params) if initial is None else initial
    return _attend(params, initial, readable(query, value, value, mask, None))[0]


@named_axes
def gaussian_window_start(params: GaussianWindowParams) -> Float[Array, " m"]:
    """Returns the state before the first query: centres at zero."""
    return jnp.zeros_like(params.bias[0])


@named_axes
@at_least_float32
def gaussian_window_step(
    params: GaussianWindowParams,
    state: Float[Array, " m"],
    query: Float[Array, " q"],
    value: Float[Array, "s v"],
    *,
    mask: KeyMask = None,
) -> tuple[Attended, Float[Array, " m"]]:
    """Returns context and weights of one query, and the next state: its centres.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    attended, state = _attend(params, state, one_query(query, value, value, mask, None))
    return only(attended), state


def _attend(
    params: GaussianWindowParams, initial: Float[Array, " m"], of: Readable
) -> tuple[Attended, Float[Array, " m"]]:
    rates = jnp.exp(jnp.einsum("amq,tq->atm", params.weight, of.query) + params.bias[:, None])
    height, sharpness, step = rates
    return windows(height, sharpness, step, initial, of)


def windows(
    height: Float[Array, "t m"],
    sharpness: Float[Array, "t m"],
    step: Float[Array, "t m"],
    initial: Float[Array, " m"],
    of: Readable,
) -> tuple[Attended, Float[Array, " m"]]:
    """Returns contexts and weights of Gaussians that move on by `step`, and the last centres."""
    if of.allowed is not None:
        step = jnp.where(of.allowed.any(1)[:, None], step, 0.0)
    centre = jnp.cumsum(jnp.concatenate([initial[None], step]), axis=0)
    places = jnp.arange(of.value.shape[0], dtype=step.dtype)
    distance = centre[1:, :, None] - places[None, None]
    weights = (height[:, :, None] * jnp.exp(-sharpness[:, :, None] * distance**2)).sum(1)
    if of.allowed is not None:
        weights = jnp.where(of.allowed, weights, 0.0)
    return attended_with(weights, of.value), centre[-1]
