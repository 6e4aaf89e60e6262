"""A block of a transformer's encoder: Vaswani et al. (2017), arXiv:1706.03762, section 3.1."""

from typing import NamedTuple

import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Key

from jattn._axes import named_axes
from jattn._options import Positive, Size, check_dropout
from jattn._precision import at_least_float32
from jattn.attention.multi_head import multi_head_attention
from jattn.attention.multi_head_params import MultiHeadParams, check_heads, init_multi_head
from jattn.attention.multi_head_parts import Attend, Turn
from jattn.layers import layer_norm
from jattn.masks.algebra import Mask
from jattn.positions.offsets import Offset
from jattn.transformer.feed_forward import feed_forward
from jattn.transformer.order import Order, pre_norm
from jattn.transformer.sublayers import (
    InitFeedForward,
    InitNorm,
    NetworkParams,
    NormParams,
    RowMap,
    apply_sublayers,
    initializers,
    shifted,
    used_positions,
)


class EncoderBlockParams(NamedTuple):
    """Parameters of attention and of the feed-forward network, each with a norm."""

    attention: MultiHeadParams
    attention_norm: NormParams
    feed_forward: NetworkParams
    feed_forward_norm: NormParams


class EncoderBlockOutput(NamedTuple):
    """The features after a block, and the weights of each head; None if `attend` has none."""

    outputs: Float[Array, "s d"]
    weights: Float[Array, "h s s"] | None


@named_axes
def init_encoder_block(
    rng: Key[Array, ""],
    *,
    size: Size,
    heads: Size,
    hidden_size: Size,
    key_value_heads: Size | None = None,
    bias: bool = True,
    init_norm: InitNorm | None = None,
    init_feed_forward: InitFeedForward | None = None,
    dtype: DTypeLike = float,
) -> EncoderBlockParams:
    """Draws the parameters of a block as `init_multi_head` and `init_feed_forward` do.

    Args:
        size: number of features d.
        heads: number of query heads.
        hidden_size: number of hidden units of the feed-forward network.
        key_value_heads: number of key-value heads; `heads` if None.
        bias: whether attention, network and norms have biases, which start at zero.
        init_norm: draws parameters of `norm` from size and dtype, as `init_rms_norm` does;
            `init_layer_norm` if None.
        init_feed_forward: draws parameters of `feed_forward` from a key, size, hidden_size and
            dtype, as `init_gated_feed_forward` does; `jattn.init_feed_forward` if None.
        dtype: of the parameters, floating-point.

    Raises:
        ValueError: if a size is below 1, heads exceeds size, or heads do not divide among
            key-value heads.
    """
    attention_rng, feed_forward_rng = jax.random.split(rng)
    attention = init_multi_head(
        attention_rng,
        heads=heads,
        query_size=size,
        key_value_heads=key_value_heads,
        bias=bias,
        dtype=dtype,
    )
    init_norm, init_feed_forward = initializers(init_norm, init_feed_forward, bias)
    norm = init_norm(size=size, dtype=dtype)
    hidden = init_feed_forward(feed_forward_rng, size=size, hidden_size=hidden_size, dtype=dtype)
    return EncoderBlockParams(attention, norm, hidden, norm)


@named_axes
@at_least_float32
def encoder_block(
    params: EncoderBlockParams,
    inputs: Float[Array, "s d"],
    *,
    self_mask: Bool[Array, "s s"] | Mask | None = None,
    self_bias: Float[Array, "h s s"] | Float[Array, "s s"] | None = None,
    self_sinks: Float[Array, " h"] | None = None,
    scale: Float[Array, ""] | float | None = None,
    logits_soft_cap: Positive | None = None,
    order: Order = pre_norm,
    turn: Turn | None = None,
    query_offset: Offset = 0,
    norm: RowMap = layer_norm,
    feed_forward: RowMap = feed_forward,
    dropout_rate: float = 0.0,
    attention_dropout_rate: float = 0.0,
    rng: Key[Array, ""] | None = None,
    attend: Attend | None = None,
) -> EncoderBlockOutput:
    """Applies self-attention, then a feed-forward network, and adds the result of each.

        attended = inputs + dropout(attention(norm(inputs)))
        outputs  = attended + dropout(feed_forward(norm(attended)))

    in the order of `pre_norm`; `post_norm` normalizes the sums. A position that attends to none and
    that none attends to is padding, as under `masks.lengths(length, length)`. It may hold any
    value, its output is zero, and it takes and causes no gradient.

    Args:
        inputs: [s d], features of each position.
        self_mask: True where a position may attend to another, for every head.
        self_bias: added to the scores of all heads or of each, such as a bias of `jattn.biases` as
            an array, `.dense(s, s)`. -inf is the same as a mask.
        self_sinks: for each head the score of one more key, whose value is zero.
        scale: factor of the scores; 1 / √e if None.
        logits_soft_cap: the cap c of scores, which become c tanh(scores / c). None: no cap.
        order: `jattn.pre_norm` or `jattn.post_norm`.
        turn: rotates queries and keys by their positions, as `jattn.rotary` does.
        query_offset: the position of the first input, for `turn`.
        norm: the norm, a function of its parameters and of rows, such as `jattn.rms_norm`.
        feed_forward: the network, a function of its parameters and of rows, such as
            `jattn.gated_feed_forward`. `functools.partial` sets options of both, such as an epsilon
            or an activation.
        dropout_rate: share that is dropped of the results of attention and of the network.
        attention_dropout_rate: share of the attention weights that is dropped.
        rng: the key of both kinds of dropout.
        attend: a function that attends for the heads, such as `jattn.engine.attend`, as in
            `multi_head_attention`.

    Returns:
        The features [s d], and the weights [h s s] before dropout.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, heads do not divide among
            groups, scale or logits_soft_cap is not finite, or a dropout rate is not in
            [0, 1) or is above 0 without rng.
    """
    heads = len(params.attention.query_weight), len(params.attention.key_weight)
    check_heads("encoder_block", *heads)
    check_dropout("encoder_block", "dropout_rate", dropout_rate, rng)
    check_dropout("encoder_block", "attention_dropout_rate", attention_dropout_rate, rng)
    # The first two keys do not depend on the number that is split off.
    *rngs, weights_rng = [None] * 3 if rng is None else jax.random.split(rng, 3)

    def attend_to_self(rows):
        return multi_head_attention(
            params.attention,
            rows,
            rows,
            rows,
            mask=self_mask,
            bias=self_bias,
            sinks=self_sinks,
            scale=scale,
            logits_soft_cap=logits_soft_cap,
            turn=shifted(turn, query_offset),
            dropout_rate=attention_dropout_rate,
            dropout_rng=weights_rng,
            attend=attend,
        )

    def transform(rows):
        return feed_forward(params.feed_forward, rows), None

    outputs, (weights, _) = apply_sublayers(
        (params.attention_norm, params.feed_forward_norm),
        (attend_to_self, transform),
        inputs,
        order=order,
        norm=norm,
        used=used_positions(self_mask, self_bias, inputs.shape[0]),
        dropout_rate=dropout_rate,
        rngs=rngs,
    )
    return EncoderBlockOutput(outputs, weights)
