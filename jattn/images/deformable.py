"""Deformable attention: Zhu et al. (2021), arXiv:2010.04159."""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn._axes import named_axes
from jattn._naming import named_value
from jattn._options import Size
from jattn._precision import at_least_float32
from jattn.normalizers import softmax


class DeformableParams(NamedTuple):
    """For each head, the offsets and the scores of `m` points, and maps of values and output."""

    offset_weight: Float[Array, "h m 2 q"]
    offset_bias: Float[Array, "h m 2"]
    score_weight: Float[Array, "h m q"]
    score_bias: Float[Array, "h m"]
    value_weight: Float[Array, "h u c"]
    output_weight: Float[Array, "d h u"]


class DeformableAttended(NamedTuple):
    """The output, and the weight and the place (row, column) of each head's points."""

    context: Float[Array, "t d"]
    weights: Float[Array, "t h m"]
    places: Float[Array, "t h m 2"]


@named_axes
def init_deformable(
    rng: Key[Array, ""],
    *,
    heads: Size,
    points: Size,
    query_size: Size,
    channels: Size,
    head_size: Size,
    dtype: DTypeLike = float,
) -> DeformableParams:
    """Draws maps of values and output from a normal with variance 1 / fan-in; others are zero.

    As in the paper, offsets start as their biases: point 1, 2, ... of a head lies 1, 2, ... pixels
    away, in the head's own direction. All weights are equal at first.

    Raises:
        ValueError: if a size is below 1, or dtype is not a floating-point dtype.
    """
    angles = 2 * jnp.pi * jnp.arange(heads, dtype=dtype) / heads
    directions = jnp.stack([jnp.sin(angles), jnp.cos(angles)], 1)
    directions = directions / jnp.abs(directions).max(1, keepdims=True)
    steps = jnp.arange(1, points + 1, dtype=dtype)
    first, second = jax.random.split(rng)
    return DeformableParams(
        jnp.zeros((heads, points, 2, query_size), dtype),
        directions[:, None] * steps[None, :, None],
        jnp.zeros((heads, points, query_size), dtype),
        jnp.zeros((heads, points), dtype),
        jax.random.normal(first, (heads, head_size, channels), dtype) * channels**-0.5,
        jax.random.normal(second, (query_size, heads, head_size), dtype)
        * (heads * head_size) ** -0.5,
    )


@named_axes
@at_least_float32
def deformable_attention(
    params: DeformableParams,
    query: Float[Array, "t q"],
    points: Float[Array, "t 2"],
    features: Float[Array, "y x c"],
) -> DeformableAttended:
    """Attends to a few places of an image, at offsets that the query decides.

        offsets[t, h, m] = offset_weight[h, m] query[t] + offset_bias[h, m]
        weights[t, h]    = softmax of score_weight[h] query[t] + score_bias[h] over the points
        context[t]       = Σ_h output_weight[:, h] Σ_m weights[t, h, m] sample(places[t, h, m])

    Here places = points[t] (y, x) - 1/2 + offsets, and `sample` interpolates value_weight[h]
    features bilinearly between four pixels, with zeros outside the image. The paper names these
    z_q, p_q, Δp_mqk, A_mqk, W_m and W'_m. Cost is O(t h m u), whatever the size of the image.

    Args:
        points: the reference (row, column) of each query, from 0 at the upper left corner of the
            image to 1 at the lower right one. Implementations have (column, row). The centre of
            pixel i lies at (i + 1/2) / y.
        features: the image. For several scales, attend to each and mix with weights of one softmax.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or the image is empty.
    """
    if 0 in features.shape[:2]:
        shape = features.shape
        raise ValueError(f"deformable_attention: features has shape {shape}, expected some pixels")
    offsets = jnp.einsum("hmaq,tq->thma", params.offset_weight, query) + params.offset_bias[None]
    sizes = jnp.asarray(features.shape[:2], query.dtype)
    places = (points * sizes[None] - 0.5)[:, None, None] + named_value(offsets, "encode/offsets")
    scores = jnp.einsum("hmq,tq->thm", params.score_weight, query) + params.score_bias[None]
    rows = scores.reshape(scores.shape[0] * scores.shape[1], scores.shape[2])
    weights = named_value(softmax(rows).reshape(scores.shape), "weight/weights")
    values = jnp.einsum("huc,yxc->yxhu", params.value_weight, features)
    sampled = named_value(_sample(values, places), "decode/sampled")
    heads = jnp.einsum("thm,thmu->thu", weights, sampled)
    context = jnp.einsum("dhu,thu->td", params.output_weight, heads)
    return DeformableAttended(named_value(context, "decode/output"), weights, places)


def _sample(
    values: Float[Array, "y x h u"], places: Float[Array, "t h m 2"]
) -> Float[Array, "t h m u"]:
    """Returns each head's values between four pixels; those outside the image are zero."""
    sizes = jnp.asarray(values.shape[:2])[None, None, None]
    lowest = jnp.floor(lax.stop_gradient(places))
    part = places - lowest
    of_head = jnp.arange(values.shape[2])[None, :, None]
    total = jnp.zeros((*places.shape[:3], values.shape[3]), values.dtype)
    for corner in itertools.product((0, 1), repeat=2):
        factors = [part[..., i] if up else 1.0 - part[..., i] for i, up in enumerate(corner)]
        pixel = (lowest + jnp.asarray(corner, lowest.dtype)[None, None, None]).astype(sizes.dtype)
        inside = ((pixel >= 0) & (pixel < sizes)).all(-1)
        row, column = (jnp.where(inside, pixel[..., i], 0) for i in (0, 1))
        head = jnp.broadcast_to(of_head, row.shape)
        factor = jnp.where(inside, factors[0] * factors[1], 0.0)
        total = total + factor[..., None] * values[row, column, head]
    return total
