"""A mixture of Gaussians, second version: Battenberg et al. (2020), arXiv:1910.10288."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn.alignment.gaussian_window import windows
from jattn.alignment.in_order import KeyMask, one_query, only
from jattn.alignment.softplus import softplus
from jattn.attention.attend import Readable
from jattn.mechanism import Attended, MaskLike, Size, at_least_float32, named_axes, readable
from jattn.normalizers import softmax


class StableMixtureParams(NamedTuple):
    """A network of `p` units that gives share, deviation and step of each of `m` Gaussians."""

    hidden_weight: Float[Array, "p q"]
    hidden_bias: Float[Array, " p"]
    weight: Float[Array, "3 m p"]
    bias: Float[Array, "3 m"]


@named_axes
def init_stable_mixture(
    rng: Key[Array, ""],
    *,
    query_size: Size,
    units: Size,
    components: Size,
    dtype: DTypeLike = float,
) -> StableMixtureParams:
    """Draws weights from a normal with variance 1 / fan-in.

    Biases give a deviation of ten and a step of one, as the paper's GMMv2b starts.
    """
    hidden_rng, rng = jax.random.split(rng)
    hidden = jax.random.normal(hidden_rng, (units, query_size), dtype) * query_size**-0.5
    weight = jax.random.normal(rng, (3, components, units), dtype) * units**-0.5
    starts = [0.0, math.log(math.expm1(10.0)), math.log(math.expm1(1.0))]
    bias = jnp.asarray([[start] * components for start in starts], dtype)
    return StableMixtureParams(hidden, jnp.zeros(units, dtype), weight, bias)


@named_axes
@at_least_float32
def stable_mixture(
    params: StableMixtureParams,
    query: Float[Array, "t q"],
    value: Float[Array, "s v"],
    *,
    mask: MaskLike = None,
    initial: Float[Array, " m"] | None = None,
) -> Attended:
    """Attends to places as a mixture of `m` normal densities, whose means move on by steps.

        (share, deviation, step)[t] = weight tanh(hidden_weight query[t] + hidden_bias) + bias
        share, deviation, step = softmax(share), softplus(deviation), softplus(step)
        mean[t] = mean[t - 1] + step[t]
        weights[t, s] = Σ_m share[t, m] Normal(s; mean[t, m], deviation[t, m])

    The paper calls this GMM attention V2 and names them ω, σ, Δ and μ. V0 is `gaussian_window`. A
    row sums to about one, if deviations are not small and means are among the places.

    Args:
        mask: True where a query may attend to a value; other weights are zero. A query with none
            gets context zero and leaves the means as they are.
        initial: the means before the first query, zero by default.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    initial = stable_mixture_start(params) if initial is None else initial
    return _attend(params, initial, readable(query, value, value, mask, None))[0]


@named_axes
def stable_mixture_start(params: StableMixtureParams) -> Float[Array, " m"]:
    """Returns the state before the first query: means at zero."""
    return jnp.zeros_like(params.bias[0])


@named_axes
@at_least_float32
def stable_mixture_step(
    params: StableMixtureParams,
    state: Float[Array, " m"],
    query: Float[Array, " q"],
    value: Float[Array, "s v"],
    *,
    mask: KeyMask = None,
) -> tuple[Attended, Float[Array, " m"]]:
    """Returns context and weights of one query, and the next state: its means.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    attended, state = _attend(params, state, one_query(query, value, value, mask, None))
    return only(attended), state


def _attend(
    params: StableMixtureParams, initial: Float[Array, " m"], of: Readable
) -> tuple[Attended, Float[Array, " m"]]:
    hidden = jnp.einsum("pq,tq->tp", params.hidden_weight, of.query) + params.hidden_bias[None]
    share, deviation, step = (
        jnp.einsum("amp,tp->atm", params.weight, jnp.tanh(hidden)) + params.bias[:, None]
    )
    deviation = softplus(deviation)
    height = softmax(share) / (math.sqrt(2.0 * math.pi) * deviation)
    return windows(height, 0.5 / deviation**2, softplus(step), initial, of)
