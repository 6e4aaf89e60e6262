"""Sums that forget: retention, gated linear attention and HGRN-2.

Sources: Sun et al. (2023), arXiv:2307.08621; Yang et al. (2023), arXiv:2312.06635; Qin et al.
(2024), arXiv:2404.07904.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jattn._axes import named_axes
from jattn._options import Length, Size
from jattn._precision import at_least_float32
from jattn.linear.padding import without_padding
from jattn.linear.rule import LinearOutput, delta_rule


@named_axes
@at_least_float32
def retention(
    query: Float[Array, "t k"],
    key: Float[Array, "t k"],
    value: Float[Array, "t v"],
    decay: Float[Array, ""],
    *,
    initial: Float[Array, "k v"] | None = None,
    length: Length | Int[Array, ""] | None = None,
    chunk_size: Size | None = None,
) -> LinearOutput:
    """Adds keys times values to a state that fades at one fixed rate.

        state[t] = decay state[t - 1] + key[t] value[t]ᵀ,   output[t] = state[t]ᵀ query[t]

    The paper's γ is `decay`, 1 - 2^(-5 - h) in its head h. Its rotation of queries and keys, its
    normalization of outputs and a scale of queries are left to the caller.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or length is out of range.
    """
    query, key, value = without_padding("retention", length, query, key, value)
    decays = jnp.broadcast_to(jnp.asarray(decay, key.dtype), (key.shape[0], 1))
    options: dict[str, Any] = {"initial": initial, "length": length, "chunk_size": chunk_size}
    return delta_rule(query, key, value, decay=decays, **options)


@named_axes
@at_least_float32
def gated_linear_attention(
    query: Float[Array, "t k"],
    key: Float[Array, "t k"],
    value: Float[Array, "t v"],
    decay: Float[Array, "t k"],
    *,
    initial: Float[Array, "k v"] | None = None,
    length: Length | Int[Array, ""] | None = None,
    chunk_size: Size | None = None,
) -> LinearOutput:
    """Adds keys times values to a state that each feature forgets at a rate of its own.

        state[t] = diag(decay[t]) state[t - 1] + key[t] value[t]ᵀ,   output[t] = state[t]ᵀ query[t]

    The paper's α_t is `decay`, sigmoid(...)^(1/16) there.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or length is out of range.
    """
    arrays = without_padding("gated_linear_attention", length, query, key, value)
    options: dict[str, Any] = {"initial": initial, "length": length, "chunk_size": chunk_size}
    return delta_rule(*arrays, decay=decay, **options)


@named_axes
@at_least_float32
def hgrn2(
    query: Float[Array, "t k"],
    value: Float[Array, "t v"],
    forget: Float[Array, "t k"],
    *,
    initial: Float[Array, "k v"] | None = None,
    length: Length | Int[Array, ""] | None = None,
    chunk_size: Size | None = None,
) -> LinearOutput:
    """Mixes each value into a state, by as much as a feature forgets of what it held.

        state[t] = diag(forget[t]) state[t - 1] + (1 - forget[t]) value[t]ᵀ
        output[t] = state[t]ᵀ query[t]

    The paper names these f_t, h_t, i_t and, for the query, the output gate o_t.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or length is out of range.
    """
    query, value, forget = without_padding("hgrn2", length, query, value, forget)
    options: dict[str, Any] = {"initial": initial, "length": length, "chunk_size": chunk_size}
    return delta_rule(query, 1.0 - forget, value, decay=forget, **options)
