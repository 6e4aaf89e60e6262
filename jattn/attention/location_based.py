"""Location-based scores: Luong, Pham & Manning (2015), arXiv:1508.04025, section 3.1."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.core import max_dim
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn._axes import named_axes
from jattn._options import Count, Size
from jattn._precision import at_least_float32
from jattn._sizes import is_certain
from jattn.attention.attend import Attended, Bias, MaskLike, attend, readable
from jattn.masks import lengths
from jattn.normalizers import Normalizer, softmax


class LocationBasedParams(NamedTuple):
    """One row of weights for each of the `m` positions with a score."""

    weight: Float[Array, "m q"]


@named_axes
def init_location_based(
    rng: Key[Array, ""], *, query_size: Size, positions: Count, dtype: DTypeLike = float
) -> LocationBasedParams:
    """Draws the weight from a normal with variance 1 / query_size."""
    shape = (positions, query_size)
    return LocationBasedParams(jax.random.normal(rng, shape, dtype) * query_size**-0.5)


@named_axes
@at_least_float32
def location_based_attention(
    params: LocationBasedParams,
    query: Float[Array, "t q"],
    value: Float[Array, "s v"],
    *,
    mask: MaskLike = None,
    bias: Bias = None,
    normalizer: Normalizer = softmax,
) -> Attended:
    """Scores positions from the query alone, independently of keys and values.

        scores[t, s] = weight[s] · query[t]

    The paper names these W_a and h_t and calls the score "location". The weight has a fixed number
    of rows. A shorter sequence uses the first of them, and values past the last row get weight
    zero, as in the paper.

    Args:
        mask: True where a query may attend to a value. A query with none gets context zero.
        bias: added to the scores; -inf is the same as a mask.
        normalizer: maps each row of scores to a row of weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    scored, s = params.weight.shape[0], value.shape[0]
    if not is_certain(lambda: s <= scored):
        mask = lengths(scored) if mask is None else lengths(scored) & mask
    query, _, value, bias, allowed = readable(query, value, value, mask, bias)
    weight = jnp.pad(params.weight, ((0, max_dim(s - scored, 0)), (0, 0)))[:s]
    scores = jnp.einsum("tq,sq->ts", query, weight)
    return attend(scores, value, allowed, bias, normalizer)
