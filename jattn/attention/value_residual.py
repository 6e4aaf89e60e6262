"""Value residuals: Zhou et al. (2024), arXiv:2410.17897, who name the model ResFormer."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from jattn._axes import named_axes
from jattn._options import Size
from jattn._precision import at_least_float32
from jattn.attention.attend import MaskLike
from jattn.attention.multi_head import MultiHeadAttended
from jattn.attention.multi_head_params import MultiHeadParams, check_heads, init_multi_head
from jattn.attention.multi_head_parts import (
    Turn,
    attend_projected,
    join_heads,
    project,
    project_heads,
)
from jattn.masks.visible import only
from jattn.normalizers import Normalizer, softmax


class ValueResidualParams(NamedTuple):
    """Multi-head attention, and the shares of the first layer's values and of its own."""

    heads: MultiHeadParams
    shares: Float[Array, "2"]


@named_axes
def init_value_residual(
    rng: Key[Array, ""], *, heads: Size, query_size: Size, dtype: DTypeLike = float
) -> ValueResidualParams:
    """Draws every weight from a normal with variance 1 / fan-in; both shares are one half.

    Raises:
        ValueError: if a size is below 1, heads exceeds query_size, or dtype is not a
            floating-point dtype.
    """
    params = init_multi_head(rng, heads=heads, query_size=query_size, dtype=dtype)
    return ValueResidualParams(params, jnp.full(2, 0.5, dtype))


@named_axes
@at_least_float32
def value_heads(params: MultiHeadParams, value: Float[Array, "s v"]) -> Float[Array, "s g u"]:
    """Returns the values of each head of multi-head attention, for the layers above it."""
    heads = project(params.value_weight, params.value_bias, value, "value_heads")
    return jnp.swapaxes(heads, 0, 1)


@named_axes
@at_least_float32
def value_residual_attention(
    params: ValueResidualParams,
    query: Float[Array, "t q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    first_values: Float[Array, "s g u"],
    *,
    mask: MaskLike = None,
    bias: Float[Array, "t s"] | Float[Array, "h t s"] | None = None,
    scale: Float[Array, ""] | float | None = None,
    turn: Turn | None = None,
    query_offset: Int[Array, ""] | int = 0,
    normalizer: Normalizer = softmax,
) -> MultiHeadAttended:
    """Computes multi-head attention to a mixture of the first layer's values and its own.

        values[g] = shares[0] first_values[:, g] + shares[1] value_weight[g] value

    The values are mixed before attention, after the projection, and without another weight
    matrix. The paper names the shares λ_1 and λ_2 and the values V_1 and V_n. They are learned, or
    fixed at one half.

    Args:
        first_values: the first layer's `value_heads`.
        mask: True where a query may attend to a key, for every head.
        bias: added to the scores of all heads or of each; -inf is the same as a mask.
        scale: a number or a scalar array, which is differentiable; 1 / √e if None.
        turn: rotates queries and keys, as for `multi_head_attention`.
        query_offset: the position of the first query, for `turn`.
        normalizer: a function from scores to weights, a row at a time.

    Raises:
        ValueError: if arguments disagree about an axis, heads do not divide among groups, or scale
            is not finite.
    """
    sizes = len(params.heads.query_weight), len(params.heads.key_weight)
    check_heads("value_residual_attention", *sizes)
    heads = project_heads(params.heads, query, key, value, mask, bias)
    first = only(heads.is_read, jnp.swapaxes(first_values, 0, 1))
    values = params.shares[0] * first + params.shares[1] * heads.value
    mixed = heads._replace(value=values)
    context, weights = attend_projected(mixed, normalizer, scale, turn, query_offset)
    return MultiHeadAttended(join_heads(params.heads, context, heads.reads), weights)
