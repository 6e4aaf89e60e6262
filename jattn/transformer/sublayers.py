"""The steps that every block shares: norm, sublayer, dropout, sum, and zeros at padding."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Key

from jattn.attention.multi_head_parts import Turn
from jattn.layers import (
    LayerNormParams,
    RMSNormParams,
    dropout,
    init_layer_norm,
    init_rms_norm,
    layer_norm,
    rms_norm,
)
from jattn.masks.algebra import Mask
from jattn.masks.visible import only, visible
from jattn.positions.offsets import Offset, positions_from
from jattn.transformer.order import Order, Rows, Sublayer

Used = Bool[Array, " t"] | None
NormParams = LayerNormParams | RMSNormParams


def apply_sublayers(
    norms: Sequence[NormParams],
    sublayers: Sequence[Sublayer],
    inputs: Rows,
    *,
    order: Order,
    epsilon: float,
    used: Used = None,
    dropout_rate: float = 0.0,
    rngs: Sequence[Key[Array, ""] | None] | None = None,
) -> tuple[Rows, list[Any]]:
    """Returns the features after all sublayers, in the given order of norms, and their results.

    Args:
        norms: parameters of the norm of each sublayer.
        sublayers: functions of features that return features and a result, such as weights.
        used: False where a position is padding, from `used_positions`: its features are zeroed.
        rngs: a key for the dropout after each sublayer.
    """
    results = []
    inputs = only(used, inputs)
    for norm, sublayer, rng in zip(norms, sublayers, rngs or [None] * len(norms), strict=True):

        def dropping(rows, sublayer=sublayer, rng=rng):
            rows, result = sublayer(rows)
            return dropout(rng, rows, dropout_rate), result

        norm_rows = partial(normalized, norm, epsilon=epsilon)
        inputs, result = order(norm_rows, dropping, inputs)
        results.append(result)
    return only(used, inputs), results


def init_norm(*, rms: bool, size: int, bias: bool, dtype: DTypeLike) -> NormParams:
    """Returns the parameters of `rms_norm` or of `layer_norm`."""
    if rms:
        return init_rms_norm(size=size, dtype=dtype)
    return init_layer_norm(size=size, bias=bias, dtype=dtype)


def normalized(params: NormParams | None, rows: Rows, epsilon: float) -> Rows:
    """Returns the rows after the norm that the parameters belong to, or as they are without one."""
    if isinstance(params, RMSNormParams):
        return rms_norm(params, rows, epsilon=epsilon)
    return rows if params is None else layer_norm(params, rows, epsilon=epsilon)


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
    return lambda heads, positions: turn(heads, positions_from(offset, len(positions)))
