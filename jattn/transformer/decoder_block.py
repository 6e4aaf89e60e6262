"""A block of a transformer's decoder: Vaswani et al. (2017), arXiv:1706.03762, section 3.1."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from jattn._axes import named_axes
from jattn._options import Positive, check_dropout
from jattn._precision import at_least_float32
from jattn.attention.attend import MaskLike
from jattn.attention.multi_head import multi_head_attention
from jattn.attention.multi_head_params import check_heads
from jattn.attention.multi_head_parts import Attend, Turn
from jattn.layers import layer_norm
from jattn.masks.algebra import Mask
from jattn.masks.patterns import causal, segments
from jattn.positions.offsets import Offset
from jattn.transformer.decoder_params import DecoderBlockParams
from jattn.transformer.feed_forward import feed_forward
from jattn.transformer.order import Order, pre_norm
from jattn.transformer.sublayers import RowMap, Used, apply_sublayers, shifted, used_positions

PAST = causal()


class DecoderBlockOutput(NamedTuple):
    """The features after a block, and each head's weights on past and memory, or None."""

    outputs: Float[Array, "t d"]
    self_weights: Float[Array, "h t t"] | None
    cross_weights: Float[Array, "h t s"] | None


@named_axes
@at_least_float32
def decoder_block(
    params: DecoderBlockParams,
    inputs: Float[Array, "t d"],
    memory: Float[Array, "s k"],
    *,
    self_mask: Bool[Array, "t t"] | Mask | None = PAST,
    self_bias: Float[Array, "h t t"] | Float[Array, "t t"] | None = None,
    self_sinks: Float[Array, " h"] | None = None,
    memory_mask: MaskLike = None,
    memory_bias: Float[Array, "h t s"] | Float[Array, "t s"] | None = None,
    memory_sinks: Float[Array, " h"] | None = None,
    scale: Float[Array, ""] | float | None = None,
    logits_soft_cap: Positive | None = None,
    order: Order = pre_norm,
    turn: Turn | None = None,
    memory_turn: Turn | None = None,
    query_offset: Offset = 0,
    norm: RowMap = layer_norm,
    feed_forward: RowMap = feed_forward,
    dropout_rate: float = 0.0,
    attention_dropout_rate: float = 0.0,
    rng: Key[Array, ""] | None = None,
    attend: Attend | None = None,
) -> DecoderBlockOutput:
    """Applies self-attention, cross-attention and a feed-forward network, and adds each result.

        attended = inputs + dropout(self_attention(norm(inputs)))
        read     = attended + dropout(cross_attention(norm(attended), memory))
        outputs  = read + dropout(feed_forward(norm(read)))

    in the order of `pre_norm`; `post_norm` normalizes the sums. The memory is not normalized. A
    position that attends to no input and that none attends to is padding, as under
    `masks.causal() & masks.lengths(length, length)`. It may hold any value, its output and its
    weights are zero, and it takes and causes no gradient.

    Args:
        inputs: [t d], features of each position.
        memory: [s k], the encoder's outputs.
        self_mask: True where a position may attend to another: the past by default. With the
            default, padding after the target is read by padding alone; it has to be finite.
        self_bias: added to the scores of self-attention, of all heads or of each, such as a bias
            of `jattn.biases` as an array, `.dense(t, t)`. -inf is the same as a mask.
        self_sinks: for each head of self-attention the score of one more key, whose value is zero.
        memory_mask: True where a position may attend to the memory, such as
            `masks.lengths(length)`.
        memory_bias: added to the scores of cross-attention, of all heads or of each.
        memory_sinks: as `self_sinks`, for cross-attention.
        scale: factor of the scores of both kinds of attention; 1 / √e if None.
        logits_soft_cap: the cap c of the scores of both, which become c tanh(scores / c). None: no
            cap.
        order: `jattn.pre_norm` or `jattn.post_norm`.
        turn: rotates queries and keys of self-attention by their positions, as `jattn.rotary` does.
        memory_turn: rotates queries of cross-attention by their positions, and keys by their own
            positions in the memory.
        query_offset: the position of the first input, for `turn` and `memory_turn`. The first
            position of the memory is 0.
        norm: the norm, a function of its parameters and of rows, such as `jattn.rms_norm`.
        feed_forward: the network, a function of its parameters and of rows, such as
            `jattn.gated_feed_forward`. `functools.partial` sets options of both, such as an epsilon
            or an activation.
        dropout_rate: share that is dropped of the results of attention and of the network.
        attention_dropout_rate: share of the weights of both kinds of attention that is dropped.
        rng: the key of both kinds of dropout.
        attend: a function that attends for the heads of both kinds of attention, such as
            `jattn.engine.attend`, as in `multi_head_attention`.

    Returns:
        The features [t d], the weights of self-attention [h t t] and of cross-attention [h t s],
        both before dropout.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, heads do not divide among
            groups, scale or logits_soft_cap is not finite, or a dropout rate is not in
            [0, 1) or is above 0 without rng.
    """
    for attention in (params.self_attention, params.cross_attention):
        check_heads("decoder_block", len(attention.query_weight), len(attention.key_weight))
    check_dropout("decoder_block", "dropout_rate", dropout_rate, rng)
    check_dropout("decoder_block", "attention_dropout_rate", attention_dropout_rate, rng)
    # The first three keys do not depend on the number that is split off.
    *rngs, self_rng, cross_rng = [None] * 5 if rng is None else jax.random.split(rng, 5)
    used = used_positions(self_mask, self_bias, inputs.shape[0])
    options: dict[str, Any] = {
        "scale": scale,
        "logits_soft_cap": logits_soft_cap,
        "dropout_rate": attention_dropout_rate,
        "attend": attend,
    }

    def attend_to_past(rows):
        return multi_head_attention(
            params.self_attention,
            rows,
            rows,
            rows,
            mask=self_mask,
            bias=self_bias,
            sinks=self_sinks,
            turn=shifted(turn, query_offset),
            dropout_rng=self_rng,
            **options,
        )

    def attend_to_memory(rows):
        return multi_head_attention(
            params.cross_attention,
            rows,
            memory,
            memory,
            mask=of_used_queries(memory_mask, used, memory.shape[0]),
            bias=memory_bias,
            sinks=memory_sinks,
            turn=memory_turn,
            query_offset=query_offset,
            dropout_rng=cross_rng,
            **options,
        )

    def transform(rows):
        return feed_forward(params.feed_forward, rows), None

    outputs, (self_weights, cross_weights, _) = apply_sublayers(
        (params.self_norm, params.cross_norm, params.feed_forward_norm),
        (attend_to_past, attend_to_memory, transform),
        inputs,
        order=order,
        norm=norm,
        used=used,
        dropout_rate=dropout_rate,
        rngs=rngs,
    )
    return DecoderBlockOutput(outputs, self_weights, cross_weights)


def of_used_queries(mask: MaskLike, used: Used, s: int) -> MaskLike:
    """Returns the mask of a memory without the queries that are padding."""
    if used is None:
        return mask
    used_alone = segments(used.astype(jnp.int32), jnp.ones(s, jnp.int32))
    return used_alone if mask is None else used_alone & mask
