"""Differential attention: Ye et al. (2024), arXiv:2410.05258."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from jattn._axes import named_axes
from jattn._naming import named_value
from jattn._options import NotNegative, Size
from jattn._precision import at_least_float32
from jattn.attention.attend import MaskLike
from jattn.attention.multi_head import MultiHeadAttended
from jattn.attention.multi_head_params import MultiHeadParams, check_heads
from jattn.attention.multi_head_parts import Turn, attend_projected, join_heads, project_heads
from jattn.normalizers import Normalizer, softmax


class DifferentialParams(NamedTuple):
    """Two maps of weights for each head, the vectors of their balance, and a norm's factors."""

    query_weight: Float[Array, "2 h e q"]
    key_weight: Float[Array, "2 h e k"]
    value_weight: Float[Array, "h u v"]
    output_weight: Float[Array, "d h u"]
    query_balance: Float[Array, "2 e"]
    key_balance: Float[Array, "2 e"]
    norm_scale: Float[Array, " u"]


@named_axes
def init_differential(
    rng: Key[Array, ""], *, heads: Size, query_size: Size, head_size: Size, dtype: DTypeLike = float
) -> DifferentialParams:
    """Draws weights from a normal with variance 1 / fan-in, and balances with deviation 0.1.

    Values have 2 head_size features a head, as in the paper, and the norm's factors are one.

    Raises:
        ValueError: if a size is below 1, or dtype is not a floating-point dtype.
    """
    into, values = (2, heads, head_size, query_size), (heads, 2 * head_size, query_size)
    shapes = (into, into, values, (query_size, *values[:2]), (2, head_size), (2, head_size))
    deviations = (*(query_size**-0.5,) * 3, (2 * heads * head_size) ** -0.5, 0.1, 0.1)
    parts = zip(jax.random.split(rng, 6), shapes, deviations, strict=True)
    weights = (jax.random.normal(key, shape, dtype) * size for key, shape, size in parts)
    return DifferentialParams(*weights, norm_scale=jnp.ones(2 * head_size, dtype))


@named_axes
def initial_balance(layer: Size) -> float:
    """Returns the balance that the paper starts layer 1, 2, ... with: 0.8 - 0.6 exp(-0.3 (l - 1)).

    The authors' code counts layers from 0 and leaves out the -1, which is the same number.
    """
    return 0.8 - 0.6 * math.exp(-0.3 * (layer - 1))


@named_axes
@at_least_float32
def differential_attention(
    params: DifferentialParams,
    query: Float[Array, "t q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    initial: Float[Array, ""] | float = 0.8,
    mask: MaskLike = None,
    bias: Float[Array, "t s"] | Float[Array, "h t s"] | None = None,
    scale: Float[Array, ""] | float | None = None,
    turn: Turn | None = None,
    query_offset: Int[Array, ""] | int = 0,
    normalizer: Normalizer = softmax,
    epsilon: NotNegative = 1e-5,
) -> MultiHeadAttended:
    """Subtracts from the weights of each head those of a second head with the same values.

        balance    = exp(query_balance[0] · key_balance[0])
                     - exp(query_balance[1] · key_balance[1]) + initial
        weights[h] = softmax(scores[0, h]) - balance softmax(scores[1, h])
        head[h]    = (1 - initial) norm_scale ∘ rms_norm(weights[h] (value_weight[h] value))

    Here scores[i, h] are the scaled products of `query_weight[i, h] query` and `key_weight[i, h]
    key`. The paper names the balance λ and the norm GroupNorm: each head has its own root mean
    square, and all heads share the factors. Its values have twice as many features as its keys.

    Args:
        initial: the constant of the balance, `initial_balance(layer)`.
        mask: True where a query may attend to a key, for every head.
        bias: added to the scores of all heads or of each; -inf is the same as a mask.
        scale: a number or a scalar array, which is differentiable; 1 / √e if None.
        turn: rotates queries and keys, as for `multi_head_attention`.
        query_offset: the position of the first query, for `turn`.
        normalizer: a function from scores to weights, a row at a time.
        epsilon: keeps the norm of a context of zeros finite.

    Raises:
        ValueError: if arguments disagree about an axis, a number is not finite, or epsilon is
            negative.
    """
    check_heads("differential_attention", *(len(params.value_weight),) * 2)
    products = jnp.einsum("ie,ie->i", params.query_balance, params.key_balance)
    balance = jnp.exp(products[0]) - jnp.exp(products[1]) + initial
    of_map = lambda i: MultiHeadParams(
        params.query_weight[i], params.key_weight[i], params.value_weight, params.output_weight
    )
    projected = [project_heads(of_map(i), query, key, value, mask, bias) for i in (0, 1)]
    options = normalizer, scale, turn, query_offset
    first, second = (attend_projected(heads, *options) for heads in projected)
    contexts, weights = (one - balance * other for one, other in zip(first, second, strict=True))
    square = (contexts**2).sum(-1, keepdims=True) / max(contexts.shape[-1], 1)
    normal = params.norm_scale[None, None] * contexts / jnp.sqrt(square + epsilon)
    normal = named_value((1.0 - initial) * normal, "decode/normal")
    output = join_heads(of_map(0), normal, projected[0].reads)
    return MultiHeadAttended(output, weights)
