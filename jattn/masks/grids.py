"""Masks of tokens of a grid, such as the patches of an image: windows, and lines along an axis.

Windows are of Liu, Lin, Cao, Hu, Wei, Zhang, Lin & Guo (2021), Swin Transformer, arXiv:2103.14030.
Lines are of Ho, Kalchbrenner, Weissenborn & Salimans (2019), axial attention, arXiv:1912.12180.
"""

import operator
from collections.abc import Sequence
from functools import reduce
from math import prod
from typing import Any

from jattn.masks.algebra import OPERAND_AXES, Mask
from jattn.masks.patterns import Integer, blocks, dilated, whole

PerAxis = int | tuple[int, ...]


def grid_windows(
    grid: tuple[int, ...], size: PerAxis, *, shift: PerAxis = 0, offset: Integer = 0
) -> Mask:
    """Returns the mask of the keys in the query's window, where windows tile a grid of tokens.

    With a shift, the windows begin `shift` tokens further on, and those at the border are smaller.
    Swin Transformer gets the same by rolling the grid by -shift, and by masking pairs of tokens
    that were not neighbours before. The tokens of the grid are in row-major order.

    Args:
        grid: number of tokens along each axis, such as (rows, columns).
        size: number of tokens of a window along each axis, one number or one for each axis. It
            need not divide the grid: the last windows are smaller.
        shift: tokens by which the windows are moved; Swin has half of `size` in every other layer.
        offset: position of the first query in row-major order.

    Raises:
        ValueError: if a number is out of range, or the numbers of axes differ.

        >>> print(grid_windows((1, 6), 3, shift=1).dense(6, 6).astype(int))
        [[1 0 0 0 0 0]
         [0 1 1 1 0 0]
         [0 1 1 1 0 0]
         [0 1 1 1 0 0]
         [0 0 0 0 1 1]
         [0 0 0 0 1 1]]
    """
    name = "grid_windows"
    grid = grid_of(name, grid)
    sizes = per_axis(name, "size", size, len(grid), 1)
    shifts = per_axis(name, "shift", shift, len(grid), 0)
    for tokens, step in zip(sizes, shifts, strict=True):
        if step >= tokens:
            raise ValueError(f"masks.{name}: shift is {shift}, expected less than {size} (size)")
    operands = (whole(name, "offset", offset), len(grid), *grid, *sizes, *shifts)
    return Mask(same_window, operands, (None, prod(grid)))


def axial(grid: tuple[int, ...], axis: int, offset: Integer = 0) -> Mask:
    """Returns the mask of the keys on the query's line along one axis of a grid of tokens.

    In a grid (rows, columns), `axis=1` shows the query's row, `axis=0` its column. Two layers, one
    for each axis, reach all tokens. `axial(grid, 0) | axial(grid, 1)` is the criss-cross attention
    of Huang et al. (2019), arXiv:1811.11721. The tokens of the grid are in row-major order.

    Args:
        grid: number of tokens along each axis.
        axis: the axis along which a query attends; negative ones count from the last.
        offset: position of the first query in row-major order.

    Raises:
        ValueError: if the grid has no such axis.
    """
    grid = grid_of("axial", grid)
    axis = _index("axial", "axis", axis)
    if not -len(grid) <= axis < len(grid):
        expected = f"from {-len(grid)} to {len(grid) - 1}"
        raise ValueError(f"masks.axial: axis is {axis}, expected {expected}")
    step = prod(grid[axis % len(grid) + 1 :])  # Between neighbours on a line.
    line = blocks(step * grid[axis], offset)
    mask = line if step == 1 else line & dilated(step, offset)
    return Mask(mask.rule, mask.operands, (None, prod(grid)))


def _index(name: str, argument: str, value: Any) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise ValueError(f"masks.{name}: {argument} is {value}, expected an integer") from None


def grid_of(name: str, grid: Any) -> tuple[int, ...]:
    """Returns the shape of a grid as integers that are known before the run."""
    if not isinstance(grid, Sequence) or not len(grid):
        expected = "the number of tokens along each axis"
        raise ValueError(f"masks.{name}: grid is {grid}, expected {expected}")
    return per_axis(name, "grid", tuple(grid), len(grid), 1)


def per_axis(name: str, argument: str, value: Any, axes: int, least: int) -> tuple[int, ...]:
    """Returns one integer for each axis of a grid, from one for all or one for each."""
    numbers = _each(name, argument, value, axes)
    found = tuple(_index(name, argument, x) for x in numbers)
    if min(found) < least:
        raise ValueError(f"masks.{name}: {argument} is {value}, expected at least {least}")
    return found


def flags_of(name: str, argument: str, value: Any, axes: int) -> tuple[int, ...]:
    """Returns one flag for each axis of a grid, as 0 or 1."""
    flags = _each(name, argument, value, axes)
    if not all(isinstance(x, bool) for x in flags):
        raise ValueError(f"masks.{name}: {argument} is {value}, expected True or False")
    return tuple(map(int, flags))


def _each(name: str, argument: str, value: Any, axes: int) -> tuple[Any, ...]:
    values = tuple(value) if isinstance(value, Sequence) else (value,) * axes
    if len(values) != axes:
        expected = f"one number or {axes} (axes of the grid)"
        raise ValueError(f"masks.{name}: {argument} is {value}, expected {expected}")
    return values


def coordinates(positions: Any, grid: tuple[int, ...]) -> list[Any]:
    """Returns the coordinates of positions in row-major order; the first one is not limited."""
    found = []
    for tokens in grid[:0:-1]:
        found.append(positions % tokens)
        positions = positions // tokens
    return [positions, *reversed(found)]


def same_window(queries, keys, offset, axes, *numbers):
    grid, sizes, shifts = (numbers[i * axes : (i + 1) * axes] for i in range(3))
    places = coordinates(queries + offset, grid), coordinates(keys, grid)
    axes_of = zip(*places, sizes, shifts, strict=True)
    return reduce(
        operator.and_, [(q - shift) // size == (k - shift) // size for q, k, size, shift in axes_of]
    )


OPERAND_AXES[same_window] = 0
