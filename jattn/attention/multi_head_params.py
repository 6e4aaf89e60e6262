"""Parameters of multi-head attention, and the function that draws them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn._axes import named_axes
from jattn._options import Size


class MultiHeadParams(NamedTuple):
    """Projections to `h` query heads and `g` key-value heads, and the output projection."""

    query_weight: Float[Array, "h e q"]
    key_weight: Float[Array, "g e k"]
    value_weight: Float[Array, "g u v"]
    output_weight: Float[Array, "d h u"]
    query_bias: Float[Array, "h e"] | None = None
    key_bias: Float[Array, "g e"] | None = None
    value_bias: Float[Array, "g u"] | None = None
    output_bias: Float[Array, " d"] | None = None


@named_axes
def init_multi_head(
    rng: Key[Array, ""],
    *,
    heads: Size,
    query_size: Size,
    key_size: Size | None = None,
    value_size: Size | None = None,
    head_size: Size | None = None,
    value_head_size: Size | None = None,
    output_size: Size | None = None,
    key_value_heads: Size | None = None,
    bias: bool = False,
    dtype: DTypeLike = float,
) -> MultiHeadParams:
    """Draws every weight from a normal with variance 1 / fan-in; biases start at zero.

    Args:
        heads: number of query heads h.
        query_size: number of features of queries.
        key_size: number of features of keys; `query_size` if None.
        value_size: number of features of values; `key_size` if None.
        head_size: number of features of a head's queries and keys; `query_size // heads` if None.
        value_head_size: number of features of a head's values; `head_size` if None.
        output_size: number of features of the output; `query_size` if None.
        key_value_heads: number of key-value heads g; `heads` if None.
        bias: whether every projection has a bias.
        dtype: of the parameters, floating-point.

    Raises:
        ValueError: if a size is below 1, heads exceeds query_size and head_size is None, heads do
            not divide among key-value heads, or dtype is not a floating-point dtype.
    """
    key_size = query_size if key_size is None else key_size
    value_size = key_size if value_size is None else value_size
    head_size = query_size // heads if head_size is None else head_size
    if not head_size:
        raise ValueError(
            f"init_multi_head: query_size is {query_size}, expected at least 1 for each of"
            f" {heads} heads, or a head_size"
        )
    value_head_size = head_size if value_head_size is None else value_head_size
    output_size = query_size if output_size is None else output_size
    groups = heads if key_value_heads is None else key_value_heads
    if heads % groups:
        raise ValueError(
            f"init_multi_head: heads is {heads}, expected a multiple of key_value_heads={groups}"
        )
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


def check_heads(function: str, heads: int, groups: int) -> None:
    """Raises ValueError unless the query heads divide among the key-value heads."""
    if groups == 0 or heads % groups:
        expected = f"expected a multiple of its {groups} key-value heads"
        raise ValueError(f"{function}: params has {heads} heads (h), {expected} (g)")
