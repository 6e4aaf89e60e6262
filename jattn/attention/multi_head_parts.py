"""The parts of multi-head attention: project to heads, attend with each, join what they found."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jattn._naming import named_value
from jattn.attention.attend import Attended
from jattn.attention.multi_head_params import MultiHeadParams
from jattn.attention.scaled_dot_product import scaled_dot_product_attention
from jattn.normalizers import Normalizer
from jattn.positions.offsets import positions_from

Turn = Callable[[Float[Array, "t e"], Int[Array, " t"]], Float[Array, "t e"]]


def project(
    weight: Float[Array, "h e f"],
    bias: Float[Array, "h e"] | None,
    inputs: Float[Array, "s f"],
    name: str,
) -> Float[Array, "h s e"]:
    """The queries, keys or values of each head."""
    projected = jnp.einsum("hef,sf->hse", weight, inputs)
    projected = projected if bias is None else projected + bias[:, None]
    return named_value(projected, f"encode/{name}")


def rotated(
    turn: Turn | None, heads: Float[Array, "h t e"], offset: Int[Array, ""] | int
) -> Float[Array, "h t e"]:
    """Each head rotated by the positions offset, offset + 1, ... of its rows."""
    if turn is None:
        return heads
    return jax.vmap(turn, (0, None))(heads, positions_from(offset, heads.shape[1]))


def attend_heads(
    query_heads: Float[Array, "h t e"],
    key_heads: Float[Array, "g s e"],
    value_heads: Float[Array, "g s u"],
    allowed: Bool[Array, "*h t s"] | None,
    bias: Float[Array, "*h t s"] | None,
    normalizer: Normalizer,
) -> tuple[Float[Array, "h t u"], Float[Array, "h t s"]]:
    """What each query head finds with the keys and values of its group, and its weights."""
    heads, groups = len(query_heads), len(key_heads)

    def one_head(q: Any, k: Any, v: Any, mask: Any, bias: Any) -> Attended:
        return scaled_dot_product_attention(q, k, v, mask=mask, bias=bias, normalizer=normalizer)

    def by_group(array: Any) -> Any:
        if array is None or array.ndim == 2:
            return array
        return array.reshape(groups, heads // groups, *array.shape[1:])

    axes = [None if x is None or x.ndim == 2 else 0 for x in (allowed, bias)]
    in_group = jax.vmap(one_head, (0, None, None, *axes))
    context, weights = jax.vmap(in_group, (0, 0, 0, *axes))(
        by_group(query_heads), key_heads, value_heads, by_group(allowed), by_group(bias)
    )
    return context.reshape(heads, *context.shape[2:]), weights.reshape(heads, *weights.shape[2:])


def join_heads(
    params: MultiHeadParams,
    context: Float[Array, "h t u"],
    allowed: Bool[Array, "*h t s"] | None,
    keys: int,
) -> Float[Array, "t d"]:
    """The heads' findings through the output's weight and bias; zero for a query without a key."""
    output = jnp.einsum("dhu,htu->td", params.output_weight, context)
    if params.output_bias is not None:
        output = output + params.output_bias[None]
    allowed = jnp.ones((context.shape[1], keys), bool) if allowed is None else allowed
    *heads, _, column = range(allowed.ndim)
    reads = jax.lax.reduce_or(allowed, (*heads, column))
    output = jnp.where(reads[:, None], output, 0.0)
    return named_value(output, "decode/output")
