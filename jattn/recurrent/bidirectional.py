"""Cells in both directions: Schuster & Paliwal (1997), https://doi.org/10.1109/78.650093."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, Key

from jattn._axes import named_axes
from jattn._options import Count
from jattn._precision import at_least_float32
from jattn.recurrent.cells import Cell, GRUParams, InitCell, gru_cell, init_gru
from jattn.recurrent.padding import check_steps
from jattn.recurrent.unroll import directions


class BidirectionalParams(NamedTuple):
    """The parameters of one cell for each direction, of the same sizes."""

    forward: Any
    backward: Any


class BidirectionalGRUParams(NamedTuple):
    """One GRU for each direction, of the same sizes."""

    forward: GRUParams
    backward: GRUParams


class BidirectionalOutput(NamedTuple):
    """The outputs of both directions after each step, concatenated, and the last state of each.

    `final` has two rows, [2 n] for a GRU; the arrays of any other state have them too.
    """

    outputs: Float[Array, "s n+n"]
    final: Any


@named_axes
def init_bidirectional(
    rng: Key[Array, ""],
    *,
    init_cell: InitCell,
    input_size: Count,
    units: Count,
    dtype: DTypeLike = float,
) -> BidirectionalParams | BidirectionalGRUParams:
    """Draws both directions by `init_cell`; `units` is the size of one direction.

    Two GRUs are BidirectionalGRUParams.

    Raises:
        ValueError: if a size is negative or `dtype` is not a floating-point dtype.
    """
    both = [
        init_cell(key, input_size=input_size, units=units, dtype=dtype)
        for key in jax.random.split(rng)
    ]
    if isinstance(both[0], GRUParams):
        return BidirectionalGRUParams(*both)
    return BidirectionalParams(*both)


@named_axes
def init_bidirectional_gru(
    rng: Key[Array, ""], *, input_size: Count, units: Count, dtype: DTypeLike = float
) -> BidirectionalGRUParams:
    """Draws both directions as `init_gru` does; `units` is the size of one direction.

    Raises:
        ValueError: if a size is negative or `dtype` is not a floating-point dtype.
    """
    sizes = {"input_size": input_size, "units": units, "dtype": dtype}
    return BidirectionalGRUParams(*init_bidirectional(rng, init_cell=init_gru, **sizes))


@named_axes
@at_least_float32
def bidirectional(
    cell: Cell,
    params: Any,
    inputs: Float[Array, "s *i"],
    *,
    initial: Any = None,
    length: int | Int[Array, ""] | None = None,
    valid: Bool[Array, " s"] | None = None,
    hidden_scale: Float[Array, "2 n"] | None = None,
) -> BidirectionalOutput:
    """Reads a sequence forwards and backwards by any cell, as `bidirectional_gru` does by a GRU.

    Args:
        cell: as in `unroll`.
        params: BidirectionalParams, or BidirectionalGRUParams.
        initial: the states before the first step, in the form of `final`: two rows in each array.
        length, valid: as in `gru`.
        hidden_scale: as in `unroll`, forward then backward.

    Raises:
        ValueError: as `unroll` does.
    """
    if not hasattr(params, "forward") or not hasattr(params, "backward"):
        kind = type(params).__name__
        raise ValueError(f"bidirectional: params is a {kind}, expected BidirectionalParams")
    padding = (length, valid)
    return _both("bidirectional", cell, params, inputs, initial, padding, hidden_scale, known=False)


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
    padding = (length, valid)
    return _both(
        "bidirectional_gru", cell, params, inputs, initial, padding, hidden_scale, known=True
    )


def _both(function, cell, params, inputs, initial, padding, hidden_scale, *, known):
    length, valid = padding
    check_steps(function, length, valid, "inputs", inputs)
    rows = lambda tree: [jax.tree.map(lambda leaf, row=row: leaf[row], tree) for row in (0, 1)]
    forward, backward = directions(
        function,
        cell,
        (params.forward, params.backward),
        inputs,
        rows(initial),
        padding,
        rows(hidden_scale),
        reverse=(False, True),
        known=known,
    )
    return BidirectionalOutput(
        jnp.concatenate([forward.outputs, backward.outputs], axis=-1),
        jax.tree.map(lambda *both: jnp.stack(both), forward.final, backward.final),
    )
