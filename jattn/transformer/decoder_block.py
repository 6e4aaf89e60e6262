"""A block of a transformer's decoder: Vaswani et al. (2017), arXiv:1706.03762, section 3.1."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Bool, Float, Key

from jattn._axes import named_axes
from jattn._options import check_dropout
from jattn._precision import at_least_float32
from jattn.attention.attend import MaskLike
from jattn.attention.multi_head import multi_head_attention
from jattn.attention.multi_head_params import check_heads
from jattn.attention.multi_head_parts import Turn
from jattn.layers import dropout, layer_norm
from jattn.masks.algebra import Mask
from jattn.masks.patterns import causal
from jattn.transformer.decoder_params import DecoderBlockParams
from jattn.transformer.feed_forward import Activation, feed_forward
from jattn.transformer.order import Order, Rows, pre_norm

Attend = Callable[[Rows], tuple[Rows, Any]]
PAST = causal()


class DecoderBlockOutput(NamedTuple):
    """The features after a block, and each head's weights on what was written and on the memory."""

    outputs: Float[Array, "t d"]
    self_weights: Float[Array, "h t t"]
    cross_weights: Float[Array, "h t s"]


@named_axes
@at_least_float32
def decoder_block(
    params: DecoderBlockParams,
    inputs: Float[Array, "t d"],
    memory: Float[Array, "s k"],
    *,
    self_mask: Bool[Array, "t t"] | Mask | None = PAST,
    self_bias: Float[Array, "h t t"] | Float[Array, "t t"] | None = None,
    memory_mask: MaskLike = None,
    order: Order = pre_norm,
    turn: Turn | None = None,
    activation: Activation = jax.nn.relu,
    epsilon: float = 1e-5,
    dropout_rate: float = 0.0,
    rng: Key[Array, ""] | None = None,
) -> DecoderBlockOutput:
    """Self-attention, attention to the memory, then a feed-forward network, each added.

        attended = inputs + dropout(self_attention(norm(inputs)))
        read     = attended + dropout(cross_attention(norm(attended), memory))
        outputs  = read + dropout(feed_forward(norm(read)))

    in the order of `pre_norm`; `post_norm` normalizes the sums. The memory is not normalized.

    Args:
        memory: what the encoder returned.
        self_mask: True where a query may attend to a position of its own sequence: the past, unless
            another mask is given. Padding after the target needs none.
        self_bias: added to the scores of self-attention, of all heads or of each, such as
            `jattn.alibi_bias`.
        memory_mask: True where a query may attend to a position of the memory, such as
            `masks.lengths(length)`.
        order: `jattn.pre_norm` or `jattn.post_norm`.
        turn: turns queries and keys of self-attention by their positions, as `jattn.rotary` does.
        activation: of the feed-forward network.
        epsilon: of the norms.
        dropout_rate: share that is dropped of what attention and the network add.
        rng: what dropout is drawn from.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, heads do not divide among
            groups, or dropout_rate is not in [0, 1) or comes without rng.
    """
    heads = len(params.self_attention.query_weight), len(params.self_attention.key_weight)
    check_heads("decoder_block", *heads)
    check_dropout("decoder_block", "dropout_rate", dropout_rate, rng)

    def attend_to_past(rows):
        return multi_head_attention(
            params.self_attention, rows, rows, rows, mask=self_mask, bias=self_bias, turn=turn
        )

    def attend_to_memory(rows):
        return multi_head_attention(params.cross_attention, rows, memory, memory, mask=memory_mask)

    sublayers = attend_to_past, attend_to_memory
    options = {"order": order, "activation": activation, "epsilon": epsilon}
    outputs, weights = through(params, sublayers, inputs, **options, rate=dropout_rate, rng=rng)
    return DecoderBlockOutput(outputs, *weights)


def through(
    params: DecoderBlockParams,
    attends: tuple[Attend, Attend],
    inputs: Rows,
    *,
    order: Order,
    activation: Activation,
    epsilon: float,
    rate: float = 0.0,
    rng: Key[Array, ""] | None = None,
) -> tuple[Rows, tuple[Any, Any]]:
    """The block around two kinds of attention, whichever way these get at their keys and values."""
    rngs = (None, None, None) if rng is None else jax.random.split(rng, 3)

    def transform(rows):
        return feed_forward(params.feed_forward, rows, activation=activation), None

    norms = params.self_norm, params.cross_norm, params.feed_forward_norm
    weights = []
    for one_rng, norm, sublayer in zip(rngs, norms, (*attends, transform), strict=True):

        def dropping(rows, one_rng=one_rng, sublayer=sublayer):
            rows, found = sublayer(rows)
            return dropout(one_rng, rows, rate), found

        inputs, found = order(partial(layer_norm, norm, epsilon=epsilon), dropping, inputs)
        weights.append(found)
    return inputs, (weights[0], weights[1])
