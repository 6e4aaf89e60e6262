"""Intervals that hold all keys of a range of queries, for masks whose keys form no interval.

Each function gets the first and the last query of a range, or arrays of these, and the operands
of its rule. An interval may hold keys that no query of the range sees.
"""

from math import prod
from types import ModuleType
from typing import Any

from jattn.masks.diffusion import denoising
from jattn.masks.grids import same_window
from jattn.masks.neighbourhoods import nearest_in_grid, nearest_of_group


def _reach(
    xp: ModuleType, first: Any, last: Any, size: Any, dilation: Any, length: Any
) -> tuple[Any, Any]:
    """Returns the interval of keys of a neighbourhood with gaps, of positions first to last."""
    before, widest = size // 2 * dilation, size * dilation
    start = xp.clip(first - before, 0, xp.maximum(length - widest, 0))
    stop = last + (size - 1 - size // 2) * dilation + 1
    return start, xp.minimum(xp.maximum(stop, widest), length)


def _nearest_of_group(xp, first, last, s, size, dilation, length, offset):
    return _reach(xp, first + offset, last + offset, size, dilation, length)


def _nearest_in_grid(xp, first, last, s, offset, axes, *numbers):
    """By rows alone: a query sees keys of the rows near its own."""
    grid, (size, *_), (dilation, *_), (is_causal, *_) = (
        numbers[i * axes : (i + 1) * axes] for i in range(4)
    )
    row = prod(grid[1:])
    first, last = (first + offset) // row, (last + offset) // row
    if is_causal:
        return (first - (size - 1) * dilation) * row, (last + 1) * row
    start, stop = _reach(xp, first, last, size, dilation, grid[0])
    return start * row, stop * row


def _same_window(xp, first, last, s, offset, axes, *numbers):
    """By rows alone, as above."""
    grid, (size, *_), (shift, *_) = (numbers[i * axes : (i + 1) * axes] for i in range(3))
    row = prod(grid[1:])
    first, last = (((x + offset) // row - shift) // size for x in (first, last))
    return (first * size + shift) * row, ((last + 1) * size + shift) * row


def _denoising(xp, first, last, s, length, size):
    """Noised queries see their block and earlier clean ones, clean queries clean ones."""
    block = xp.minimum(last, length - 1) // size * size  # Of the last noised query.
    of_noised = xp.where(block > 0, length + block, xp.minimum(size, length))
    of_clean = length + (last - length) // size * size + size
    start = xp.where(first < length, first // size * size, length)
    stop = xp.where(last < length, of_noised, of_clean)
    return start, xp.where(first < length, xp.maximum(stop, of_noised), stop)


COVERS = {
    nearest_of_group: _nearest_of_group,
    nearest_in_grid: _nearest_in_grid,
    same_window: _same_window,
    denoising: _denoising,
}
