"""LASER attention: Duvvuri & Dhillon (2024), arXiv:2411.03493."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jattn._axes import named_axes
from jattn._naming import named_value
from jattn._precision import at_least_float32
from jattn.attention.attend import Attended, Bias, MaskLike, attend, readable
from jattn.normalizers import Normalizer, softmax


@named_axes
@at_least_float32
def laser_attention(
    query: Float[Array, "t k"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    mask: MaskLike = None,
    bias: Bias = None,
    scale: Float[Array, ""] | float | None = None,
    normalizer: Normalizer = softmax,
) -> Attended:
    """Averages the exponentials of the values, and returns the logarithm of the mean.

        scores[t, s]  = scale query[t] · key[s],   scale = 1 / √k unless given
        context[t, v] = log Σ weights[t, s] exp(value[s, v])

    A context is between the weighted mean and the largest value, so its gradient does not vanish
    where a small weight meets a large value. The largest value that a query may read is subtracted
    before the exponential and added to the logarithm, query by query: memory is O(t s v). The
    paper subtracts the largest value of all queries, which needs no array of that size; a query
    whose values are all far below it then loses them.

    Args:
        mask: True where a query may attend to a key. A query with no key gets context zero.
        bias: added to the scores after the scale; -inf is the same as a mask.
        scale: a finite number, or a scalar array, which is differentiable; 1 / √k by default.
        normalizer: maps each row of scores to a row of weights, none of them negative.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    query, key, value, bias, allowed = readable(query, key, value, mask, bias)
    factor = max(query.shape[-1], 1) ** -0.5 if scale is None else scale
    scores = jnp.einsum("tk,sk->ts", query * factor, key)
    weights = attend(scores, value, allowed, bias, normalizer).weights

    counts = (lax.stop_gradient(weights) > 0.0)[:, :, None]
    lowest = jnp.finfo(value.dtype).min
    largest = jnp.where(counts, lax.stop_gradient(value)[None], lowest).max(1, initial=lowest)
    largest = jnp.where(counts.any(1), largest, 0.0)
    below = jnp.where(counts, value[None] - largest[:, None], 0.0)
    total = jnp.einsum("ts,tsv->tv", weights, jnp.exp(below))
    context = jnp.log(jnp.where(total > 0.0, total, 1.0)) + largest
    return Attended(named_value(context, "decode/log_of_mean"), weights)
