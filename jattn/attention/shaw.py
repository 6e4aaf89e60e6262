"""Relative positions in keys and values: Shaw, Uszkoreit & Vaswani (2018), arXiv:1803.02155."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from jattn._axes import named_axes
from jattn._naming import named_value
from jattn._options import Count, Size
from jattn._precision import at_least_float32
from jattn._sizes import as_number
from jattn.attention.attend import Attended, Bias, MaskLike, attend, readable
from jattn.normalizers import Normalizer, softmax


class ShawParams(NamedTuple):
    """A vector for each distance up to a limit, in `m` = 2 limit + 1 rows; the middle is 0."""

    key_table: Float[Array, "m k"]
    value_table: Float[Array, "m v"] | None = None


@named_axes
def init_shaw(
    rng: Key[Array, ""],
    *,
    key_size: Size,
    value_size: Size,
    limit: Count,
    dtype: DTypeLike = float,
) -> ShawParams:
    """Draws the vectors of distances -limit to limit from a normal with variance 1 / size."""
    draw = lambda key, size: size**-0.5 * jax.random.normal(key, (2 * limit + 1, size), dtype)
    key_rng, value_rng = jax.random.split(rng)
    return ShawParams(draw(key_rng, key_size), draw(value_rng, value_size))


@named_axes
@at_least_float32
def shaw_attention(
    params: ShawParams,
    query: Float[Array, "t k"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    offset: Int[Array, ""] | int = 0,
    mask: MaskLike = None,
    bias: Bias = None,
    normalizer: Normalizer = softmax,
) -> Attended:
    """Adds a learned vector of the distance to each key, and to each value.

        row[t, s]    = clip(s - t - offset, -limit, limit) + limit
        scores[t, s] = query[t] · (key[s] + key_table[row[t, s]]) / √k
        context[t]   = Σ weights[t, s] (value[s] + value_table[row[t, s]])

    The paper names the tables a^K and a^V and the limit k. A single number for each distance is
    `biases.relative`. Memory is O(t s v) where there are vectors for values.

    Args:
        offset: position of the first query, where keys count from 0.
        mask: True where a query may attend to a key. A query with no key gets context zero.
        bias: added to the scores; -inf is the same as a mask.
        normalizer: maps each row of scores to a row of weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or the tables have an even
            number of rows.
    """
    shape = params.key_table.shape
    if shape[0] % 2 == 0:
        raise ValueError(f"shaw_attention: params.key_table has shape {shape}, expected an odd m")
    query, key, value, bias, allowed = readable(query, key, value, mask, bias)
    limit = shape[0] // 2
    places = jnp.arange(query.shape[0]) + jnp.asarray(as_number(offset)).astype(int)
    distances = jnp.arange(key.shape[0])[None] - places[:, None]
    rows = jnp.clip(distances, -limit, limit) + limit

    query = query * max(query.shape[-1], 1) ** -0.5
    by_row = jnp.einsum("tk,mk->tm", query, params.key_table)
    by_distance = by_row[jnp.arange(query.shape[0])[:, None], rows]
    by_distance = named_value(by_distance, "score/by_distance")
    scores = jnp.einsum("tk,sk->ts", query, key) + by_distance
    context, weights = attend(scores, value, allowed, bias, normalizer)
    if params.value_table is not None:
        of_pairs = jnp.einsum("ts,tsv->tv", weights, params.value_table[rows])
        context = named_value(context + of_pairs, "decode/with_distances")
    return Attended(context, weights)
