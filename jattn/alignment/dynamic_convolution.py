"""Dynamic convolution attention: Battenberg et al. (2020), arXiv:1910.10288."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn._options import Positive
from jattn.alignment.in_order import KeyMask, attend_in_order, normalized, one_query, only
from jattn.alignment.monotonic import monotonic_start
from jattn.attention.attend import Readable
from jattn.mechanism import Attended, MaskLike, Size, at_least_float32, named_axes, readable
from jattn.normalizers import softmax


class DynamicConvolutionParams(NamedTuple):
    """Static filters, a network of `d` units that makes filters of a query, and a prior filter."""

    query_weight: Float[Array, "d q"]
    query_bias: Float[Array, " d"]
    dynamic_filter: Float[Array, "g e d"]
    static_filter: Float[Array, "f l"]
    dynamic_weight: Float[Array, "p g"]
    static_weight: Float[Array, "p f"]
    bias: Float[Array, " p"]
    score_weight: Float[Array, " p"]
    prior: Float[Array, " c"]


@named_axes
def init_dynamic_convolution(
    rng: Key[Array, ""],
    *,
    query_size: Size,
    units: Size,
    filters: Size = 8,
    taps: Size = 21,
    prior_taps: Size = 11,
    dtype: DTypeLike = float,
) -> DynamicConvolutionParams:
    """Draws weights from a normal with variance 1 / fan-in; the prior is `beta_binomial_taps`."""
    shapes = {
        "query_weight": (units, query_size),
        "dynamic_filter": (filters, taps, units),
        "static_filter": (filters, taps),
        "dynamic_weight": (units, filters),
        "static_weight": (units, filters),
        "score_weight": (units,),
    }
    keys = jax.random.split(rng, len(shapes))
    weights = {
        name: jax.random.normal(key, shape, dtype) * shape[-1] ** -0.5
        for key, (name, shape) in zip(keys, shapes.items(), strict=True)
    }
    zeros, prior = jnp.zeros(units, dtype), jnp.asarray(beta_binomial_taps(prior_taps), dtype)
    return DynamicConvolutionParams(**weights, query_bias=zeros, bias=zeros, prior=prior)


def beta_binomial_taps(taps: int, alpha: float = 0.1, beta: float = 0.9) -> np.ndarray:
    """Returns the beta-binomial probabilities of 0 to `taps` - 1 steps, whose mean is
    (taps - 1) alpha / (alpha + beta).

    They are in float64, from the ratio of each to the one before. The paper's are the defaults,
    with 11 taps.
    """
    n, parts = taps - 1, [1.0]
    for k in range(n):
        parts.append(parts[-1] * (n - k) * (k + alpha) / ((k + 1) * (n - k - 1 + beta)))
    return np.asarray(parts) / np.sum(parts)


@named_axes
@at_least_float32
def dynamic_convolution(
    params: DynamicConvolutionParams,
    query: Float[Array, "t q"],
    value: Float[Array, "s v"],
    *,
    floor: Positive = 1e-6,
    mask: MaskLike = None,
    initial: Float[Array, " s"] | None = None,
) -> Attended:
    """Scores each place by filters of the previous weights, some of which the query makes.

        filters = dynamic_filter tanh(query_weight query[t] + query_bias)
        static[s]  = Σ_l static_filter[:, l] previous[s + l - l_size // 2]
        dynamic[s] = Σ_e filters[:, e] previous[s + e - e_size // 2]
        reach[s]   = Σ_c prior[c] previous[s - c]
        scores[s]  = score_weight · tanh(static_weight static[s] + dynamic_weight dynamic[s] + bias)
                     + log max(reach[s], floor)

    The paper names the filters F, G and P, the parts f, g and p, and weights U, T and v. There are
    no keys: places are told apart by the previous weights alone. The prior looks ahead at no more
    than its taps, which keeps steps small and forward.

    Args:
        params: drawn by `init_dynamic_convolution`. The paper's prior is fixed: stop its gradient.
        floor: the least argument of the logarithm, as public implementations have it.
        mask: True where a query may attend to a value. A query with none gets context zero and
            leaves the previous weights as they are.
        initial: the weights before the first query, all at the first place by default.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or floor is not above zero.
    """
    initial = monotonic_start(value) if initial is None else initial
    of = readable(query, initial, value, mask, None)
    return _attend(params, of.key, of, floor)[0]


@named_axes
@at_least_float32
def dynamic_convolution_step(
    params: DynamicConvolutionParams,
    state: Float[Array, " s"],
    query: Float[Array, " q"],
    value: Float[Array, "s v"],
    *,
    floor: Positive = 1e-6,
    mask: KeyMask = None,
) -> tuple[Attended, Float[Array, " s"]]:
    """Returns context and weights of one query, and the next state: its weights.

    The first state is `monotonic_start(value)`.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or floor is not above zero.
    """
    attended, state = _attend(params, state, one_query(query, value, value, mask, None), floor)
    return only(attended), state


def _attend(
    params: DynamicConvolutionParams, initial: Float[Array, " s"], of: Readable, floor: float
) -> tuple[Attended, Float[Array, " s"]]:
    units = jnp.einsum("dq,tq->td", params.query_weight, of.query) + params.query_bias[None]
    filters = jnp.einsum("ged,td->tge", params.dynamic_filter, jnp.tanh(units))
    prior = params.prior[::-1]

    def around(previous, taps, before):
        padded = jnp.pad(previous, (before, taps - before))
        return padded[jnp.arange(taps)[:, None] + jnp.arange(previous.shape[0])[None]]

    def weigh(previous, filters, allowed, _bias):
        taps = params.static_filter.shape[1], filters.shape[1], prior.shape[0]
        static = params.static_filter @ around(previous, taps[0], taps[0] // 2)
        dynamic = filters @ around(previous, taps[1], taps[1] // 2)
        hidden = params.static_weight @ static + params.dynamic_weight @ dynamic
        reach = prior @ around(previous, taps[2], max(taps[2] - 1, 0))
        scores = params.score_weight @ jnp.tanh(hidden + params.bias[:, None])
        scores = scores + jnp.log(jnp.where(reach > floor, reach, floor))
        weights = normalized(scores, allowed, None, softmax)
        return weights, weights

    return attend_in_order(weigh, initial, filters, of, of.value)
