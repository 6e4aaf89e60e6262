"""Location-aware attention: Chorowski et al. (2015), arXiv:1506.07503."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn.alignment.in_order import KeyBias, KeyMask, attend_in_order, normalized, one_query, only
from jattn.alignment.scoring import parts
from jattn.attention.additive import init_additive
from jattn.attention.attend import Readable
from jattn.mechanism import (
    Attended,
    Bias,
    MaskLike,
    Normalizer,
    Size,
    at_least_float32,
    named_axes,
    readable,
    softmax,
)


class LocationAwareParams(NamedTuple):
    """Weights of a scoring network of `p` units that reads `f` features of earlier weights."""

    query_weight: Float[Array, "p q"]
    key_weight: Float[Array, "p k"]
    score_weight: Float[Array, " p"]
    location_weight: Float[Array, "p f"]
    filter: Float[Array, "f l"]
    bias: Float[Array, " p"] | None = None


@named_axes
def init_location_aware(
    rng: Key[Array, ""],
    *,
    query_size: Size,
    key_size: Size,
    units: Size,
    filters: Size = 10,
    taps: Size = 201,
    bias: bool = False,
    dtype: DTypeLike = float,
) -> LocationAwareParams:
    """Draws every weight from a normal with variance 1 / fan-in; a bias starts at zero."""
    rng, location_rng, filter_rng = jax.random.split(rng, 3)
    sizes = {"query_size": query_size, "key_size": key_size, "units": units}
    additive = init_additive(rng, **sizes, bias=bias, dtype=dtype)
    location = jax.random.normal(location_rng, (units, filters), dtype) * filters**-0.5
    taps_of_each = jax.random.normal(filter_rng, (filters, taps), dtype) * taps**-0.5
    return LocationAwareParams(*additive[:3], location, taps_of_each, additive.bias)


@named_axes
@at_least_float32
def location_aware(
    params: LocationAwareParams,
    query: Float[Array, "t q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    mask: MaskLike = None,
    bias: Bias = None,
    initial: Float[Array, " s"] | None = None,
    normalizer: Normalizer = softmax,
) -> Attended:
    """Scores each key with additive attention that also sees where the previous query attended.

        features[s] = Σ_l filter[:, l] previous[s + l - l_centre],   l_centre = l_size // 2
        scores[s] = score_weight · tanh(query_weight query[t] + key_weight key[s]
                                        + location_weight features[s] + params.bias)

    `previous` are the weights of query t - 1, and zero outside of the keys. The paper names these
    f_i, F, α_{i-1}, w, W, V, U and b.

    Args:
        mask: True where a query may attend to a key. A query with no key gets context zero and
            leaves the previous weights as they are.
        bias: added to the scores; -inf is the same as a mask.
        initial: the weights before the first query, zero by default. ESPnet starts from uniform
            weights over the valid keys.
        normalizer: maps each row of scores to a row of weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    state = location_aware_start(key) if initial is None else initial
    of = readable(query, (key, state), value, mask, bias)
    key, state = of.key
    return _attend(params, state, of, key, normalizer)[0]


@named_axes
def location_aware_start(key: Float[Array, "s k"]) -> Float[Array, " s"]:
    """Returns the state before the first query: weights of zero."""
    return jnp.zeros(key.shape[0], key.dtype)


@named_axes
@at_least_float32
def location_aware_step(
    params: LocationAwareParams,
    state: Float[Array, " s"],
    query: Float[Array, " q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    mask: KeyMask = None,
    bias: KeyBias = None,
    normalizer: Normalizer = softmax,
) -> tuple[Attended, Float[Array, " s"]]:
    """Returns context and weights of one query, and the next state: its weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    of = one_query(query, key, value, mask, bias)
    attended, state = _attend(params, state, of, of.key, normalizer)
    return only(attended), state


def _attend(
    params: LocationAwareParams,
    initial: Float[Array, " s"],
    of: Readable,
    key: Float[Array, "s k"],
    normalizer: Normalizer,
) -> tuple[Attended, Float[Array, " s"]]:
    query_part, key_part = parts(params, of.query, key)
    taps = params.filter.shape[1]
    places = jnp.arange(taps)[:, None] + jnp.arange(key.shape[0])[None]

    def weigh(previous, query_part, allowed, bias):
        windows = jnp.pad(previous, (taps // 2, taps - taps // 2))[places]
        features = jnp.einsum("fl,ls->sf", params.filter, windows)
        location_part = jnp.einsum("pf,sf->sp", params.location_weight, features)
        hidden = jnp.tanh(query_part[None] + key_part + location_part)
        scores = jnp.einsum("p,sp->s", params.score_weight, hidden)
        weights = normalized(scores, allowed, bias, normalizer)
        return weights, weights

    return attend_in_order(weigh, initial, query_part, of, of.value)
