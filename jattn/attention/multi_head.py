"""Multi-head attention: Vaswani et al. (2017), arXiv:1706.03762, section 3.2.2."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn._axes import named_axes
from jattn._precision import at_least_float32
from jattn.attention.attend import MaskLike, readable
from jattn.attention.scaled_dot_product import scaled_dot_product_attention
from jattn.normalizers import Normalizer, softmax


class MultiHeadParams(NamedTuple):
    """Projections of `h` query heads and `g` key-value heads, and the one that joins them."""

    query_weight: Float[Array, "h e q"]
    key_weight: Float[Array, "g e k"]
    value_weight: Float[Array, "g u v"]
    output_weight: Float[Array, "d h u"]
    query_bias: Float[Array, "h e"] | None = None
    key_bias: Float[Array, "g e"] | None = None
    value_bias: Float[Array, "g u"] | None = None
    output_bias: Float[Array, " d"] | None = None


class MultiHeadAttended(NamedTuple):
    """The joined heads' output and each head's weights."""

    context: Float[Array, "t d"]
    weights: Float[Array, "h t s"]


def init_multi_head(
    rng: Key[Array, ""],
    *,
    heads: int,
    query_size: int,
    key_size: int | None = None,
    value_size: int | None = None,
    head_size: int | None = None,
    value_head_size: int | None = None,
    output_size: int | None = None,
    key_value_heads: int | None = None,
    bias: bool = False,
    dtype: DTypeLike = float,
) -> MultiHeadParams:
    """Draws every weight from a normal with variance 1 / fan-in; biases start at zero.

    Left out, key_size and output_size are query_size, value_size is key_size, head_size is
    query_size // heads, value_head_size is head_size and key_value_heads is heads.
    """
    key_size = query_size if key_size is None else key_size
    value_size = key_size if value_size is None else value_size
    head_size = query_size // heads if head_size is None else head_size
    value_head_size = head_size if value_head_size is None else value_head_size
    output_size = query_size if output_size is None else output_size
    groups = heads if key_value_heads is None else key_value_heads
    _check_heads("init_multi_head", heads, groups)
    shapes = (
        (heads, head_size, query_size),
        (groups, head_size, key_size),
        (groups, value_head_size, value_size),
        (output_size, heads, value_head_size),
    )
    fans = (query_size, key_size, value_size, heads * value_head_size)
    weights = (
        jax.random.normal(key, shape, dtype) * fan**-0.5
        for key, shape, fan in zip(jax.random.split(rng, 4), shapes, fans, strict=True)
    )
    sizes = [*(shape[:2] for shape in shapes[:3]), (output_size,)]
    biases = [jnp.zeros(size, dtype) if bias else None for size in sizes]
    return MultiHeadParams(*weights, *biases)


@named_axes
@at_least_float32
def multi_head_attention(
    params: MultiHeadParams,
    query: Float[Array, "t q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    mask: MaskLike = None,
    bias: Float[Array, "t s"] | Float[Array, "h t s"] | None = None,
    normalizer: Normalizer = softmax,
) -> MultiHeadAttended:
    """Attends once a head, each with projections of its own, and joins what the heads found.

        head[h] = scaled dot-product attention of query_weight[h] query,
                  key_weight[h // r] key and value_weight[h // r] value,   r = heads / groups
        context[t] = Σ_h output_weight[:, h] head[h, t]

    Each product has its bias where that is given. Self-attention passes one sequence three times,
    cross-attention another one as key and value. With fewer key-value heads than query heads this
    is grouped-query attention (Ainslie et al. 2023, arXiv:2305.13245), with one it is multi-query
    attention (Shazeer 2019, arXiv:1911.02150).

    Args:
        mask: True where a query may attend to a key, for every head. A query that no head lets
            attend to any key gets context zero, without the output's bias.
        bias: added to the scores of all heads or of each; -inf is the same as a mask.
        normalizer: makes weights of scores, a row at a time.

    Raises:
        ValueError: if arguments disagree about an axis, or heads do not divide among groups.
    """
    heads, groups = len(params.query_weight), len(params.key_weight)
    _check_heads("multi_head_attention", heads, groups)
    query, key, value, bias, allowed = readable(query, key, value, mask, bias)

    def project(weight, bias, inputs, name):
        projected = jnp.einsum("hef,sf->hse", weight, inputs)
        projected = projected if bias is None else projected + bias[:, None]
        return checkpoint_name(projected, f"encode/{name}")

    query_heads = project(params.query_weight, params.query_bias, query, "query_heads")
    key_heads = project(params.key_weight, params.key_bias, key, "key_heads")
    value_heads = project(params.value_weight, params.value_bias, value, "value_heads")

    def one_head(q, k, v, mask, bias):
        return scaled_dot_product_attention(q, k, v, mask=mask, bias=bias, normalizer=normalizer)

    def by_group(array):
        if array is None or array.ndim == 2:
            return array
        return array.reshape(groups, heads // groups, *array.shape[1:])

    axes = [None if x is None or x.ndim == 2 else 0 for x in (allowed, bias)]
    in_group = jax.vmap(one_head, (0, None, None, *axes))
    context, weights = jax.vmap(in_group, (0, 0, 0, *axes))(
        by_group(query_heads), key_heads, value_heads, by_group(allowed), by_group(bias)
    )
    context, weights = (x.reshape(heads, *x.shape[2:]) for x in (context, weights))
    output = jnp.einsum("dhu,htu->td", params.output_weight, context)
    if params.output_bias is not None:
        output = output + params.output_bias[None]
    allowed = jnp.ones((len(query), len(key)), bool) if allowed is None else allowed
    reads = allowed.any((*range(allowed.ndim - 2), -1))
    output = jnp.where(reads[:, None], output, 0.0)
    return MultiHeadAttended(checkpoint_name(output, "decode/output"), weights)


def _check_heads(function: str, heads: int, groups: int) -> None:
    if groups == 0 or heads % groups:
        raise ValueError(f"{function}: {heads} heads do not divide among {groups} key-value heads")
