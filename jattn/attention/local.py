"""Local attention: Luong, Pham & Manning (2015), arXiv:1508.04025, section 3.2."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from jattn._axes import named_axes
from jattn._naming import named_value
from jattn._options import Count, Size, check_length
from jattn._precision import at_least_float32
from jattn.attention.attend import Attended, Bias, MaskLike, readable
from jattn.attention.dot import dot_attention
from jattn.masks.algebra import as_array
from jattn.masks.patterns import lengths, window
from jattn.normalizers import Normalizer, softmax

Attention = Callable[..., Attended]
Integer = int | Int[Array, ""]


class LocalPredictiveParams(NamedTuple):
    """Weights of the network of `p` units that predicts the centre of the window."""

    position_weight: Float[Array, "p q"]
    centre_weight: Float[Array, " p"]


@named_axes
def init_local_predictive(
    rng: Key[Array, ""], *, query_size: Size, units: Size, dtype: DTypeLike = float
) -> LocalPredictiveParams:
    """Draws every weight from a normal with variance 1 / fan-in."""
    position_rng, centre_rng = jax.random.split(rng)
    return LocalPredictiveParams(
        jax.random.normal(position_rng, (units, query_size), dtype) * query_size**-0.5,
        jax.random.normal(centre_rng, (units,), dtype) * units**-0.5,
    )


@named_axes
@at_least_float32
def local_monotonic_attention(
    query: Float[Array, "t q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    half_width: Count,
    offset: Integer = 0,
    attention: Attention = dot_attention,
    mask: MaskLike = None,
    bias: Bias = None,
    normalizer: Normalizer = softmax,
) -> Attended:
    """Attends within a window around the query's own position.

        weights[t] = attention over the keys s with |s - (t + offset)| ≤ half_width

    The paper calls this local-m, names the half width D and sets p_t = t: it assumes that source
    and target are aligned monotonically.

    Args:
        half_width: keys seen on either side of the centre.
        offset: position of the first query, as when decoding step by step.
        attention: the mechanism that scores within the window, with its parameters bound.
        mask: True where a query may attend to a key, in addition to the window.
        bias: added to the scores; -inf is the same as a mask.
        normalizer: maps each row of scores to a row of weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis or half_width is negative.
    """
    inside = window(half_width, half_width, offset).dense(query.shape[0], key.shape[0])
    allowed = as_array(mask, query.shape[0], key.shape[0])
    inside = inside if allowed is None else inside & allowed
    return attention(query, key, value, mask=inside, bias=bias, normalizer=normalizer)


@named_axes
@at_least_float32
def local_predictive_attention(
    params: LocalPredictiveParams,
    query: Float[Array, "t q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    half_width: Size,
    length: Integer | None = None,
    attention: Attention = dot_attention,
    mask: MaskLike = None,
    bias: Bias = None,
    normalizer: Normalizer = softmax,
) -> Attended:
    """Attends within a window around a predicted centre, with Gaussian weights.

        centre[t]     = length sigmoid(centre_weight · tanh(position_weight query[t]))
        weights[t, s] = align[t, s] exp(-(s - centre[t])² / (2 (half_width / 2)²))

    Here `align` are the weights of `attention` over the keys with |s - centre[t]| ≤ half_width.
    The paper calls this local-p (equations 9 and 10) and names these p_t, S, v_p, W_p and D. The
    Gaussian multiplies the weights after the softmax, without another normalization, so a row sums
    to at most one. The gradient of the centre is the Gaussian's alone. Positions count from 0.

    Args:
        half_width: keys seen on either side of the centre; the Gaussian's deviation is half of it.
        length: number of keys before the padding, all of them by default. Keys past it are masked.
        attention: the mechanism that scores within the window, with its parameters bound.
        mask: True where a query may attend to a key, in addition to the window.
        bias: added to the scores; -inf is the same as a mask.
        normalizer: maps each row of scores to a row of weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, half_width is not at
            least 1, or length is negative or more than the number of keys.
    """
    check_length("local_predictive_attention: length", length, key.shape[0], "s")
    if length is not None:
        mask = lengths(length) if mask is None else lengths(length) & mask
    query, key, value, bias, allowed = readable(query, key, value, mask, bias)

    hidden = jnp.tanh(jnp.einsum("pq,tq->tp", params.position_weight, query))
    span = jnp.asarray(key.shape[0] if length is None else length, query.dtype)
    centre = span * jax.nn.sigmoid(jnp.einsum("p,tp->t", params.centre_weight, hidden))
    centre = named_value(centre, "encode/centre")
    distance = jnp.arange(key.shape[0], dtype=query.dtype)[None] - centre[:, None]
    inside = jnp.abs(distance) <= half_width
    allowed = inside if allowed is None else inside & allowed
    query, key, value, bias, allowed = readable(query, key, value, allowed, bias)

    align = attention(query, key, value, mask=allowed, bias=bias, normalizer=normalizer).weights
    near = jnp.exp(-2.0 * jnp.where(inside, distance / half_width, 0.0) ** 2)
    weights = named_value(align * near, "weight/modulated")
    context = named_value(jnp.einsum("ts,sv->tv", weights, value), "decode/modulated_context")
    return Attended(context, weights)
