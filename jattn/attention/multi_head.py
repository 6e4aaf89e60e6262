"""Multi-head attention: Vaswani et al. (2017), arXiv:1706.03762, section 3.2.2."""

from typing import NamedTuple

from jaxtyping import Array, Float, Int, Key

from jattn._axes import named_axes
from jattn._options import Positive, check_dropout
from jattn._precision import at_least_float32
from jattn.attention.attend import MaskLike, allowed_pairs
from jattn.attention.multi_head_params import MultiHeadParams, check_heads
from jattn.attention.multi_head_parts import (
    Attend,
    Turn,
    attend_by,
    attend_heads,
    dropout_factors,
    join_heads,
    project,
    rotated,
)
from jattn.masks.visible import only, visible
from jattn.normalizers import Normalizer, softmax


class MultiHeadAttended(NamedTuple):
    """The output of the joined heads, and the weights of each head; None if `attend` has none."""

    context: Float[Array, "t d"]
    weights: Float[Array, "h t s"] | None


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
    scale: Float[Array, ""] | float | None = None,
    logits_soft_cap: Positive | None = None,
    sinks: Float[Array, " h"] | None = None,
    normalizer: Normalizer = softmax,
    turn: Turn | None = None,
    query_offset: Int[Array, ""] | int = 0,
    dropout_rate: float = 0.0,
    dropout_rng: Key[Array, ""] | None = None,
    attend: Attend | None = None,
) -> MultiHeadAttended:
    """Attends with each of several heads, then projects their contexts to one output.

        scores[h, t, s] = scale query_weight[h] query[t] · key_weight[h // r] key[s]
        head[h]         = weights[h] (value_weight[h // r] value),   r = heads / groups
        context[t]      = Σ_h output_weight[:, h] head[h, t]

    Each projection has its bias where that is given. Options apply in this order: scale, soft cap,
    bias, mask, normalizer, dropout. For self-attention pass one sequence three times, for
    cross-attention another sequence as key and value. With fewer key-value heads than query heads
    this is grouped-query attention (Ainslie et al. 2023, arXiv:2305.13245), with one it is
    multi-query attention (Shazeer 2019, arXiv:1911.02150).

    Args:
        mask: True where a query may attend to a key, for every head. A query that may attend to
            no key in any head gets context zero, without the output's bias.
        bias: added to the scores of all heads or of each; -inf is the same as a mask.
        scale: a number or a scalar array, which is differentiable; 1 / √e if None.
        logits_soft_cap: the cap c of scores, which become c tanh(scores / c). None: no cap.
        sinks: for each head the score of one more key, whose value is zero; -inf is no key.
        normalizer: a function from scores to weights, a row at a time.
        turn: `turn(head, positions)` rotates the queries and the keys of each head before they are
            scored, as `jattn.rotary` does.
        query_offset: the position of the first query, for `turn` and dropout; that of the first
            key is 0.
        dropout_rate: share of the weights that is dropped, after the normalizer.
        dropout_rng: key of the dropout. The weights that are dropped depend on it, head, query and
            key alone. They are those of `dot_product_attention` for the first element of a batch.
        attend: a function that attends for the heads, in place of the dense form:
            `attend(query [t h e], key [s g e], value [s g u], **options)` returns the context
            [t h u] and the weights or None. The options are those of mask, bias, scale,
            logits_soft_cap, sinks, normalizer, dropout_rate and dropout_rng that are set, and
            query_offset with dropout. `jattn.engine.attend` has linear memory and no weights.

    Returns:
        The context [t d] and the weights [h t s], which are those before dropout. With `attend` the
        weights are its second result, None for `jattn.engine.attend`.

    Raises:
        ValueError: if arguments disagree about an axis, heads do not divide among groups, scale or
            logits_soft_cap is not finite, logits_soft_cap is not above 0, dropout_rate is not in
            [0, 1) or is above 0 without dropout_rng, or `attend` refuses an option or returns no
            context of the right shape.
    """
    check_heads("multi_head_attention", len(params.query_weight), len(params.key_weight))
    check_dropout(
        "multi_head_attention", "dropout_rate", dropout_rate, dropout_rng, rng_name="dropout_rng"
    )
    t, s = query.shape[0], key.shape[0]
    seen = visible(mask, bias, t, s)
    reads, is_read = (None, None) if seen is None else seen
    query, key, value = only(reads, query), only(is_read, key), only(is_read, value)
    heads = (
        rotated(
            turn,
            project(params.query_weight, params.query_bias, query, "query_heads"),
            query_offset,
        ),
        rotated(turn, project(params.key_weight, params.key_bias, key, "key_heads"), 0),
        project(params.value_weight, params.value_bias, value, "value_heads"),
    )
    scoring = {"scale": scale, "logits_soft_cap": logits_soft_cap, "sinks": sinks}
    if attend is None:
        allowed, bias = allowed_pairs(mask, bias, t, s)
        pairs = (len(heads[0]), t, s)
        dropped = dropout_factors(dropout_rng, dropout_rate, pairs, query_offset, query.dtype)
        attended = attend_heads(*heads, allowed, bias, normalizer, dropped=dropped, **scoring)
    else:
        dropping = {"dropout_rate": dropout_rate, "dropout_rng": dropout_rng}
        dropping |= {"query_offset": query_offset}
        other = None if normalizer is softmax else normalizer
        scoring |= dropping if dropout_rate else {}
        attended = attend_by(attend, *heads, mask=mask, bias=bias, normalizer=other, **scoring)
    return MultiHeadAttended(join_heads(params, attended[0], reads), attended[1])
