"""The steps that every block shares: norm, sublayer, dropout, sum, and zeros at padding."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from jattn.attention.multi_head_parts import Turn
from jattn.layers import LayerNormParams, RMSNormParams, dropout, init_layer_norm
from jattn.masks.algebra import Mask
from jattn.masks.visible import only, visible
from jattn.positions.offsets import Offset, positions_from
from jattn.transformer.feed_forward import FeedForwardParams, init_feed_forward
from jattn.transformer.order import Order, Rows, Sublayer

Used = Bool[Array, " t"] | None
NormParams = LayerNormParams | RMSNormParams | tuple[Any, ...]
# Functions of parameters and rows: the norm and the network of a block.
RowMap = Callable[[Any, Rows], Rows]
NetworkParams = FeedForwardParams | tuple[Any, ...]
InitNorm = Callable[..., NormParams]  # Of size and dtype.
InitFeedForward = Callable[..., NetworkParams]  # Of a key, size, hidden_size and dtype.


def apply_sublayers(
    norms: Sequence[NormParams],
    sublayers: Sequence[Sublayer],
    inputs: Rows,
    *,
    order: Order,
    norm: RowMap,
    used: Used = None,
    dropout_rate: float = 0.0,
    rngs: Sequence[Key[Array, ""] | None] | None = None,
) -> tuple[Rows, list[Any]]:
    """Returns the features after all sublayers, in the given order of norms, and their results.

    Args:
        norms: parameters of the norm of each sublayer.
        norm: the norm, a function of its parameters and of rows.
        sublayers: functions of features that return features and a result, such as weights.
        used: False where a position is padding, from `used_positions`: its features are zeroed.
        rngs: a key for the dropout after each sublayer.
    """
    results = []
    inputs = only(used, inputs)
    for norm_params, sublayer, rng in zip(
        norms, sublayers, rngs or [None] * len(norms), strict=True
    ):

        def dropping(rows, sublayer=sublayer, rng=rng):
            rows, result = sublayer(rows)
            return dropout(rng, rows, dropout_rate), result

        inputs, result = order(partial(norm, norm_params), dropping, inputs)
        results.append(result)
    return only(used, inputs), results


def initializers(
    init_norm: InitNorm | None, init_network: InitFeedForward | None, bias: bool
) -> tuple[InitNorm, InitFeedForward]:
    """Returns the initializers of norms and networks; None is that of the paper's layer."""
    return (
        partial(init_layer_norm, bias=bias) if init_norm is None else init_norm,
        partial(init_feed_forward, bias=bias) if init_network is None else init_network,
    )


def normalized(norm: RowMap, params: NormParams | None, rows: Rows) -> Rows:
    """Returns the rows after the norm, or as they are without its parameters."""
    return rows if params is None else norm(params, rows)


def used_positions(
    mask: Bool[Array, "t t"] | Mask | None, bias: Float[Array, "*h t t"] | None, size: int
) -> Used:
    """Returns True where a position attends to one, or one attends to it; None: all positions.

    A bias of -inf is the same as a mask.
    """
    seen = visible(mask, bias, size, size)
    return None if seen is None else jnp.asarray(seen.queries | seen.keys)


def shifted(turn: Turn | None, offset: Offset) -> Turn | None:
    """Returns `turn` for a sequence whose first position is `offset`."""
    if turn is None or (isinstance(offset, int) and offset == 0):
        return turn
    return lambda heads, positions: turn(heads, positions_from(offset, positions.shape[0]))
