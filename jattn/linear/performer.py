"""Attention with positive random features, FAVOR+: Choromanski et al. (2021), arXiv:2009.14794."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.dtypes import canonicalize_dtype
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from jattn._axes import named_axes
from jattn._options import Count, Length, Size
from jattn._precision import at_least_float32, inner_dtype
from jattn.linear.padding import without_padding
from jattn.linear.stabilized import last_of, running_maximum, sums_and_totals

LOWEST = -1e30  # The maximum of no features.


class PerformerOutput(NamedTuple):
    """The outputs of all steps; state and sum of features, to be multiplied by exp(maximum)."""

    outputs: Float[Array, "t v"]
    state: Float[Array, "m v"]
    key_sum: Float[Array, " m"]
    maximum: Float[Array, ""]


@named_axes
def init_performer(
    rng: Key[Array, ""], *, key_size: Count, features: Count, dtype: DTypeLike = float
) -> Float[Array, "m k"]:
    """Draws directions with the lengths of normal vectors, orthogonal in blocks of `key_size`.

    Each by itself is a vector of independent normals. The paper also draws anew during training.

    Raises:
        ValueError: if a size is negative or `dtype` is not a floating-point dtype.
    """
    of_blocks, of_lengths = jax.random.split(rng)
    inner = inner_dtype(canonicalize_dtype(dtype))  # JAX factorizes no matrix in half precision.
    blocks = -(-features // max(key_size, 1))
    rows = jax.random.orthogonal(of_blocks, key_size, (blocks,), dtype=inner)
    rows = rows.reshape(-1, key_size)[:features] if key_size else jnp.zeros((features, 0), inner)
    lengths = jnp.linalg.norm(jax.random.normal(of_lengths, rows.shape, inner), axis=1)
    return (rows * lengths[:, None]).astype(dtype)


@named_axes
@at_least_float32
def performer(
    directions: Float[Array, "m k"],
    query: Float[Array, "t k"],
    key: Float[Array, "t k"],
    value: Float[Array, "t v"],
    *,
    initial: Float[Array, "m v"] | None = None,
    initial_key_sum: Float[Array, " m"] | None = None,
    initial_maximum: Float[Array, ""] | None = None,
    length: Length | Int[Array, ""] | None = None,
    chunk_size: Size | None = None,
) -> PerformerOutput:
    """Computes causal attention whose weights are products of random exponential features.

        features(x)   = exp(directions x̂ - |x̂|² / 2) / √m,   x̂ = x / k^(1/4)
        weights[t, s] = features(query[t]) · features(key[s]) / Σ_(r ≤ t) (the same with r),  s ≤ t
        output[t]     = Σ_s weights[t, s] value[s]

    The mean of a product over directions from a standard normal is exp(query · key / √k), the
    numerator of softmax. The paper names directions and features ω_i and φ. A query's features are
    divided by their largest, which cancels, and those of keys by the largest so far, whose
    logarithm is `maximum`. There is no ε. Operations: t m (k + v).

        >>> key, value = jnp.ones((3, 1)), jnp.array([[1.0], [2.0], [6.0]])
        >>> print(performer(jnp.ones((2, 1)), key, key, value).outputs[:, 0])
        [1.  1.5 3. ]

    Args:
        directions: drawn by `init_performer`, and not to be trained.
        initial: the state before the first step, zeros by default.
        initial_key_sum: the sum of features before the first step, zeros by default.
        initial_maximum: the logarithm of a factor of both; that of the first key by default.
        length: number of valid steps. Later ones leave the state and have outputs of zero.
        chunk_size: steps that are computed at once, as in `delta_rule`.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or length is out of range.
    """
    query, key, value = without_padding("performer", length, query, key, value)
    of_query, of_key = _logarithms(directions, query), _logarithms(directions, key)
    largest = of_key.max(1, initial=LOWEST)
    start = largest[:1].sum() if initial_maximum is None else initial_maximum
    if length is not None:
        largest = jnp.where(jnp.arange(key.shape[0]) < length, largest, LOWEST)
    maxima, before = running_maximum(jnp.zeros_like(largest), largest, start)
    tops = jax.lax.stop_gradient(of_query.max(1, keepdims=True, initial=LOWEST))
    # Cut first: the exponential of a padded key might overflow.
    (of_key,) = without_padding("performer", length, of_key - maxima[:, None])
    sums, totals, state, key_sum = sums_and_totals(
        jnp.exp(of_query - tops),
        jnp.exp(of_key),
        value,
        jnp.exp(before - maxima),
        (initial, initial_key_sum, jnp.exp(start - jax.lax.stop_gradient(start))),
        length=length,
        chunk_size=chunk_size,
    )
    divisor = jnp.where(totals == 0.0, 1.0, totals)[:, None]
    return PerformerOutput(sums / divisor, state, key_sum, last_of(maxima, start))


def _logarithms(directions: Float[Array, "m k"], x: Float[Array, "t k"]) -> Float[Array, "t m"]:
    """Returns the logarithms of features."""
    count, size = directions.shape
    scaled = x * max(size, 1) ** -0.25
    less = (scaled**2).sum(1, keepdims=True) / 2 + math.log(max(count, 1)) / 2
    return jnp.einsum("tk,mk->tm", scaled, directions) - less
