"""Query-key normalization: Henry et al. (2020), arXiv:2010.04245."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from jattn._axes import named_axes
from jattn._options import Size
from jattn._precision import at_least_float32
from jattn.attention.attend import MaskLike
from jattn.attention.multi_head import MultiHeadAttended
from jattn.attention.multi_head_params import MultiHeadParams, check_heads, init_multi_head
from jattn.attention.multi_head_parts import Turn, attend_projected, join_heads, project_heads
from jattn.normalizers import Normalizer, softmax


class QueryKeyNormParams(NamedTuple):
    """Multi-head attention, the strength of its cosines, and factors of their features."""

    heads: MultiHeadParams
    strength: Float[Array, ""]
    query_scale: Float[Array, " e"] | None = None
    key_scale: Float[Array, " e"] | None = None


@named_axes
def init_query_key_norm(
    rng: Key[Array, ""], *, heads: Size, query_size: Size, length: Size, dtype: DTypeLike = float
) -> QueryKeyNormParams:
    """Draws every weight from a normal with variance 1 / fan-in; features have no factors.

    The strength is that of the paper, log2(length² - length), and at least 1.

    Args:
        heads: number of heads.
        query_size: number of features of queries and keys.
        length: a long sequence of the training data: the paper takes the 97.5th percentile.
        dtype: of the parameters, floating-point.

    Raises:
        ValueError: if a size is below 1, heads exceeds query_size, or dtype is not a
            floating-point dtype.
    """
    params = init_multi_head(rng, heads=heads, query_size=query_size, dtype=dtype)
    strength = jnp.log2(jnp.asarray(max(length**2 - length, 2), dtype))
    return QueryKeyNormParams(params, strength)


@named_axes
@at_least_float32
def query_key_norm_attention(
    params: QueryKeyNormParams,
    query: Float[Array, "t q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    mask: MaskLike = None,
    bias: Float[Array, "t s"] | Float[Array, "h t s"] | None = None,
    turn: Turn | None = None,
    query_offset: Int[Array, ""] | int = 0,
    normalizer: Normalizer = softmax,
) -> MultiHeadAttended:
    """Computes multi-head attention whose scores are cosines of queries and keys.

        scores[h, t, s] = strength (query_scale ∘ q / |q|) · (key_scale ∘ k / |k|)

    Here q and k are the projections of query t and key s in head h, and a head of zeros stays
    zero. The paper names the strength g, and has no factors of features. With factors and the
    strength √e this is the RMS normalization of later models, without its epsilon. No score
    exceeds the strength times the largest factors, whatever the weights are.

    Args:
        mask: True where a query may attend to a key, for every head.
        bias: added to the scores of all heads or of each; -inf is the same as a mask.
        turn: rotates queries and keys after they are normalized.
        query_offset: the position of the first query, for `turn`.
        normalizer: a function from scores to weights, a row at a time.

    Raises:
        ValueError: if arguments disagree about an axis, or heads do not divide among groups.
    """
    sizes = len(params.heads.query_weight), len(params.heads.key_weight)
    check_heads("query_key_norm_attention", *sizes)
    heads = project_heads(params.heads, query, key, value, mask, bias)
    queries, keys = params.strength * _unit(heads.query), _unit(heads.key)
    if params.query_scale is not None:
        queries = queries * params.query_scale[None, None]
    if params.key_scale is not None:
        keys = keys * params.key_scale[None, None]
    normal = heads._replace(query=queries, key=keys)
    context, weights = attend_projected(normal, normalizer, 1.0, turn, query_offset)
    return MultiHeadAttended(join_heads(params.heads, context, heads.reads), weights)


def _unit(heads: Float[Array, "h t e"]) -> Float[Array, "h t e"]:
    """Returns each vector over its length, and a vector of zeros as it is."""
    largest = lax.stop_gradient(jnp.abs(heads).max(-1, keepdims=True, initial=0.0))
    heads = heads / jnp.where(largest == 0.0, 1.0, largest)  # No square underflows or overflows.
    square = (heads**2).sum(-1, keepdims=True)
    return heads / jnp.sqrt(jnp.where(square == 0.0, 1.0, square))
