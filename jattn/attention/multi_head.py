"""Multi-head attention: Vaswani et al. (2017), arXiv:1706.03762, section 3.2.2."""

from typing import NamedTuple

from jaxtyping import Array, Float, Int

from jattn._axes import named_axes
from jattn._precision import at_least_float32
from jattn.attention.attend import MaskLike, readable
from jattn.attention.multi_head_params import MultiHeadParams, check_heads
from jattn.attention.multi_head_parts import Turn, attend_heads, join_heads, project, rotated
from jattn.normalizers import Normalizer, softmax


class MultiHeadAttended(NamedTuple):
    """The joined heads' output and each head's weights."""

    context: Float[Array, "t d"]
    weights: Float[Array, "h t s"]


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
    turn: Turn | None = None,
    query_offset: Int[Array, ""] | int = 0,
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
        turn: `turn(head, positions)` turns the queries and the keys of each head before they are
            scored, as `jattn.rotary` does.
        query_offset: the position of the first query, for `turn`; that of the first key is zero.

    Raises:
        ValueError: if arguments disagree about an axis, or heads do not divide among groups.
    """
    check_heads("multi_head_attention", len(params.query_weight), len(params.key_weight))
    query, key, value, bias, allowed = readable(query, key, value, mask, bias)
    query_heads = project(params.query_weight, params.query_bias, query, "query_heads")
    key_heads = project(params.key_weight, params.key_bias, key, "key_heads")
    value_heads = project(params.value_weight, params.value_bias, value, "value_heads")
    query_heads, key_heads = rotated(turn, query_heads, query_offset), rotated(turn, key_heads, 0)
    context, weights = attend_heads(query_heads, key_heads, value_heads, allowed, bias, normalizer)
    return MultiHeadAttended(join_heads(params, context, allowed, len(key)), weights)
