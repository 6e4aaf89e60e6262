"""A GRU in both directions: Schuster & Paliwal (1997), https://doi.org/10.1109/78.650093."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, Key

from jattn._axes import named_axes
from jattn._options import Count
from jattn._precision import at_least_float32
from jattn.recurrent.cells import Cell, GRUParams, gru_cell, init_gru
from jattn.recurrent.padding import check_steps
from jattn.recurrent.unroll import directions


class BidirectionalGRUParams(NamedTuple):
    """One GRU for each direction, of the same sizes."""

    forward: GRUParams
    backward: GRUParams


class BidirectionalOutput(NamedTuple):
    """The states of both directions after each step, concatenated, and the last state of each."""

    outputs: Float[Array, "s n+n"]
    final: Float[Array, "2 n"]


@named_axes
def init_bidirectional_gru(
    rng: Key[Array, ""], *, input_size: Count, units: Count, dtype: DTypeLike = float
) -> BidirectionalGRUParams:
    """Draws both directions as `init_gru` does; `units` is the size of one direction.

    Raises:
        ValueError: if a size is negative or `dtype` is not a floating-point dtype.
    """
    forward, backward = jax.random.split(rng)
    return BidirectionalGRUParams(
        init_gru(forward, input_size=input_size, units=units, dtype=dtype),
        init_gru(backward, input_size=input_size, units=units, dtype=dtype),
    )


@named_axes
@at_least_float32
def bidirectional_gru(
    params: BidirectionalGRUParams,
    inputs: Float[Array, "s i"],
    *,
    initial: Float[Array, "2 n"] | None = None,
    length: int | Int[Array, ""] | None = None,
    valid: Bool[Array, " s"] | None = None,
    cell: Cell = gru_cell,
    hidden_scale: Float[Array, "2 n"] | None = None,
) -> BidirectionalOutput:
    """Reads a sequence forwards and backwards; each output depends on both past and future.

        outputs[s] = [forward state after inputs 0 ... s; backward state after inputs s and later]

    Both directions read the valid inputs alone, so the backward one starts at the last of them.
    Outputs of steps that are not valid are zero. `final` holds the last forward state and the last
    backward state, which is the one after the first valid input.

    Args:
        initial: the states before the first step, forward then backward, zero by default.
        length: number of valid steps, which come first; all steps by default, as in `gru`.
        valid: True for each valid step, as in `gru`. Excludes `length`.
        cell: as in `gru`.
        hidden_scale: as in `gru`, forward then backward.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, length is negative or
            more than the number of inputs, or both length and valid are given.
    """
    check_steps("bidirectional_gru", length, valid, "inputs", inputs)

    none = (None, None)
    forward, backward = directions(
        params,
        inputs,
        none if initial is None else tuple(initial),
        (length, valid),
        none if hidden_scale is None else tuple(hidden_scale),
        reverse=(False, True),
        cell=cell,
    )
    return BidirectionalOutput(
        jnp.concatenate([forward.outputs, backward.outputs], axis=-1),
        jnp.stack([forward.final, backward.final]),
    )
