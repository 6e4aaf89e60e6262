"""Gated attention: Qiu et al. (2025), arXiv:2505.06708."""

from typing import NamedTuple

import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from jattn._axes import named_axes
from jattn._naming import named_value
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


class GatedParams(NamedTuple):
    """Multi-head attention, and the weights of a gate for each feature of a head, or each head."""

    heads: MultiHeadParams
    gate_weight: Float[Array, "h u q"] | Float[Array, "h q"]


@named_axes
def init_gated(
    rng: Key[Array, ""], *, heads: Size, query_size: Size, dtype: DTypeLike = float
) -> GatedParams:
    """Draws every weight from a normal with variance 1 / fan-in, with a gate for each feature.

    Raises:
        ValueError: if a size is below 1, heads exceeds query_size, or dtype is not a
            floating-point dtype.
    """
    of_heads, of_gate = jax.random.split(rng)
    params = init_multi_head(of_heads, heads=heads, query_size=query_size, dtype=dtype)
    shape = (heads, params.value_weight.shape[1], query_size)
    return GatedParams(params, jax.random.normal(of_gate, shape, dtype) * query_size**-0.5)


@named_axes
@at_least_float32
def gated_attention(
    params: GatedParams,
    query: Float[Array, "t q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    mask: MaskLike = None,
    bias: Float[Array, "t s"] | Float[Array, "h t s"] | None = None,
    scale: Float[Array, ""] | float | None = None,
    turn: Turn | None = None,
    query_offset: Int[Array, ""] | int = 0,
    normalizer: Normalizer = softmax,
) -> MultiHeadAttended:
    """Multiplies the context of each head of multi-head attention by a gate of the query.

        gate[h, t] = sigmoid(gate_weight[h] query[t])
        context[t] = Σ_h output_weight[:, h] (gate[h, t] ∘ head[h, t])

    Here `head` is that of `multi_head_attention`. The gate depends on the query's input, which the
    paper names X, and not on its projection. With `gate_weight` [h u q] it is elementwise, with
    [h q] headwise: one number a head. The gate has no bias.

    Args:
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
    check_heads("gated_attention", len(params.heads.query_weight), len(params.heads.key_weight))
    heads = project_heads(params.heads, query, key, value, mask, bias)
    context, weights = attend_projected(heads, normalizer, scale, turn, query_offset)
    gate_weight = params.gate_weight
    gate_weight = gate_weight if gate_weight.ndim == 3 else gate_weight[:, None]
    logits = project(gate_weight, None, only(heads.reads, query), "gate_logits")
    gated = named_value(jax.nn.sigmoid(logits) * context, "decode/gated")
    return MultiHeadAttended(join_heads(params.heads, gated, heads.reads), weights)
