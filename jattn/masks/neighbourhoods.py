"""Neighbourhood attention: Hassani, Walton, Li, Li & Shi (2023), arXiv:2204.07143.

Dilation is of Hassani & Shi (2022), arXiv:2209.15001. The causal form is of Hassani, Hwu & Shi
(2024), arXiv:2403.04690.
"""

import operator
from functools import reduce
from math import prod
from typing import Any

import jax.numpy as jnp

from jattn.masks.algebra import OPERAND_AXES, Mask
from jattn.masks.grids import PerAxis, coordinates, flags_of, grid_of, per_axis
from jattn.masks.patterns import Integer, dilated, whole, window


def neighbourhood(
    size: Integer,
    length: Integer,
    *,
    dilation: Integer = 1,
    is_causal: bool = False,
    offset: Integer = 0,
) -> Mask:
    """Returns the mask of the `size` keys nearest to the query's own position, query + offset.

    At both ends of the sequence the window is moved inwards, so that every query has `size` keys.
    A `window` has fewer keys there. With a dilation the keys are `dilation` apart, and the window
    is moved within the keys that are a multiple of `dilation` away from the query.

    Args:
        size: number of keys. If it is even, there is one key more before the query than after it.
        length: number of positions of the sequence.
        dilation: distance of neighbouring keys.
        is_causal: whether the query is the last key of its window. The first queries have fewer
            keys, as in a `window`.
        offset: position of the first query.

    Raises:
        ValueError: if a number is less than 1, or `size` times `dilation` exceeds `length`.

        >>> print(neighbourhood(3, 5).dense(5, 5).astype(int))
        [[1 1 1 0 0]
         [1 1 1 0 0]
         [0 1 1 1 0]
         [0 0 1 1 1]
         [0 0 1 1 1]]
    """
    size, length = (
        whole("neighbourhood", name, value, 1)
        for name, value in (("size", size), ("length", length))
    )
    dilation = whole("neighbourhood", "dilation", dilation, 1)
    offset = whole("neighbourhood", "offset", offset)
    flags_of("neighbourhood", "is_causal", is_causal, 1)
    _check_reach("neighbourhood", size, dilation, length)
    sizes = None, length if isinstance(length, int) else None
    if is_causal:
        mask = window((size - 1) * dilation, 0, offset)
        mask = mask if _is_one(dilation) else mask & dilated(dilation, offset)
        return Mask(mask.rule, mask.operands, sizes)
    if _is_one(dilation):
        return Mask(nearest_keys, (size, length, offset), sizes)
    return Mask(nearest_of_group, (size, dilation, length, offset), sizes)


def grid_neighbourhood(
    grid: tuple[int, ...],
    size: PerAxis,
    *,
    dilation: PerAxis = 1,
    is_causal: bool | tuple[bool, ...] = False,
    offset: Integer = 0,
) -> Mask:
    """Returns the mask of the keys nearest to the query's place in a grid of tokens.

    A key is seen if each of its coordinates is in the `neighbourhood` of the query's coordinate.
    The tokens of the grid are in row-major order: the last axis is contiguous.

    Args:
        grid: number of tokens along each axis, such as (rows, columns).
        size: number of keys along each axis, one number or one for each axis.
        dilation: distance of neighbouring keys along each axis.
        is_causal: whether the query is the last of its keys along each axis.
        offset: position of the first query in row-major order.

    Raises:
        ValueError: if a number is less than 1, the numbers of axes differ, or `size` times
            `dilation` exceeds the grid.
    """
    name = "grid_neighbourhood"
    grid = grid_of(name, grid)
    sizes, dilations = (
        per_axis(name, argument, value, len(grid), 1)
        for argument, value in (("size", size), ("dilation", dilation))
    )
    causal = flags_of(name, "is_causal", is_causal, len(grid))
    for tokens, keys, step in zip(grid, sizes, dilations, strict=True):
        _check_reach(name, keys, step, tokens)
    operands = (whole(name, "offset", offset), len(grid), *grid, *sizes, *dilations, *causal)
    return Mask(nearest_in_grid, operands, (None, prod(grid)))


def _check_reach(name: str, size: Any, dilation: Any, length: Any) -> None:
    numbers = (size, dilation, length)
    if all(isinstance(x, int) for x in numbers) and size * dilation > length:
        reach = f"size is {size}" + (f" and dilation {dilation}" if dilation > 1 else "")
        expected = f"at most {length} positions in all"
        raise ValueError(f"masks.{name}: {reach}, expected {expected}")


def _is_one(number: Any) -> bool:
    return isinstance(number, int) and number == 1


def ends(xp: Any, positions: Any, size: Any, dilation: Any, length: Any) -> tuple[Any, Any]:
    """Returns the first key of each position, and the position after its last key."""
    group, place = positions % dilation, positions // dilation
    count = (length - group + dilation - 1) // dilation  # Positions of the group.
    first = xp.clip(place - size // 2, 0, xp.maximum(count - size, 0))
    last = xp.minimum(first + size, count) - 1
    return first * dilation + group, last * dilation + group + 1


def nearest_keys(queries, keys, size, length, offset):
    start, stop = ends(jnp, queries + offset, size, 1, length)
    return (keys >= start) & (keys < stop)


def nearest_of_group(queries, keys, size, dilation, length, offset):
    start, stop = ends(jnp, queries + offset, size, dilation, length)
    return (keys >= start) & (keys < stop) & ((keys - start) % dilation == 0)


def nearest_in_grid(queries, keys, offset, axes, *numbers):
    grid, sizes, dilations, causal = (numbers[i * axes : (i + 1) * axes] for i in range(4))
    places = coordinates(queries + offset, grid), coordinates(keys, grid)
    seen = []
    for query, key, *of_axis in zip(*places, grid, sizes, dilations, causal, strict=True):
        length, size, dilation, is_causal = of_axis
        start, stop = ends(jnp, query, size, dilation, length)
        if is_causal:
            start, stop = query - (size - 1) * dilation, query + 1
        seen.append((key >= start) & (key < stop))
        if dilation > 1:
            seen.append((key - query) % dilation == 0)
    return reduce(operator.and_, seen)


OPERAND_AXES |= dict.fromkeys((nearest_keys, nearest_of_group, nearest_in_grid), 0)
