"""Rotary positions along several axes, such as time, height and width: Wang et al. (2024),
arXiv:2409.12191, who call them M-RoPE.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from jattn._axes import named_axes
from jattn._options import Count, Positive, Size
from jattn.positions.rotation import rotary

AxisOfPair = Int[Array, " f"]
Rotation = Callable[..., Float[Array, "t f+f"]]


@named_axes
def multi_axis_rotary(
    inputs: Float[Array, "t f+f"],
    positions: Int[Array, "t a"] | Float[Array, "t a"],
    *,
    axis_of_pair: AxisOfPair,
    base: Positive = 10000.0,
    frequencies: Float[Array, " f"] | None = None,
    rotate: Rotation = rotary,
) -> Float[Array, "t f+f"]:
    """Rotates each pair of features by the position along one of several axes.

        angle[t, i] = positions[t, axis_of_pair[i]] frequencies[i]

    The frequencies run through all pairs, whatever their axes. So a token whose positions are the
    same along all axes, as that of a text, is rotated as by `rotate` alone. Models differ in the
    axis of a pair:

    - `contiguous_axes((16, 24, 24))`: Qwen2-VL;
    - `interleaved_axes((24, 20, 20))`: Qwen3-VL;
    - `alternating_axes(pairs, axes=2)`: HunyuanImage 3.0.

    Args:
        positions: of each token along each axis, whole or fractional.
        axis_of_pair: the axis of each pair, counted from 0.
        base: as for `rotary`.
        frequencies: as for `rotary`.
        rotate: `rotary` or `half_split_rotary`, which say the features of a pair.

    Raises:
        ValueError: as `rotary` does, or if there is no such axis.
    """
    count = positions.shape[1]
    if not isinstance(axis_of_pair, Tracer):
        axes: Any = np.asarray(axis_of_pair)
        if axes.size and not 0 <= axes.min() <= axes.max() < count:
            expected = f"axes from 0 to {count - 1} (a={count} from positions)"
            raise ValueError(f"multi_axis_rotary: axis_of_pair is {axes}, expected {expected}")
        axis_of_pair = axes
    of_pairs = positions[:, axis_of_pair]
    return rotate(inputs, of_pairs, base=base, frequencies=frequencies)


def contiguous_axes(sections: Sequence[int]) -> AxisOfPair:
    """Returns the axis of each pair where each axis has that many pairs, one after another.

    >>> contiguous_axes((2, 3, 3))
    array([0, 0, 1, 1, 1, 2, 2, 2])
    """
    return np.repeat(np.arange(len(sections)), sections)  # type: ignore[return-value]


def interleaved_axes(sections: Sequence[int]) -> AxisOfPair:
    """Returns the axis of each pair where axes take turns; those past their section leave it to 0.

    >>> interleaved_axes((4, 2, 2))
    array([0, 1, 2, 0, 1, 2, 0, 0])
    """
    turn, axis = np.divmod(np.arange(sum(sections)), max(len(sections), 1))
    return np.where(turn < np.asarray(sections, int)[axis], axis, 0)  # type: ignore[return-value]


@named_axes
def alternating_axes(pairs: Count, *, axes: Size) -> AxisOfPair:
    """Returns the axis of each pair where axes take turns to the end.

    >>> alternating_axes(5, axes=2)
    array([0, 1, 0, 1, 0])
    """
    return np.arange(pairs) % axes  # type: ignore[return-value]
