"""Sparse patterns of long sequences: blocks with neighbours, strides, summaries, global tokens.

`strided` and `fixed` are of Child, Gray, Radford & Sutskever (2019), arXiv:1904.10509.
`longformer` is of Beltagy, Peters & Cohan (2020), arXiv:2004.05150. `streaming` is of
Xiao, Tian, Chen, Han & Lewis (2023), arXiv:2309.17453. `block_window` is the window over blocks of
Zaheer et al. (2020), arXiv:2007.14062.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from jattn._options import check_array
from jattn.masks.algebra import OPERAND_AXES, Mask
from jattn.masks.patterns import Integer, blocks, causal, dilated, prefix, whole, window


def block_window(
    size: Integer, left: Integer | None, right: Integer | None, offset: Integer = 0
) -> Mask:
    """Returns the mask of keys in the query's block and in blocks near it.

    Blocks of `size` positions tile the sequence. `block_window(n, None, 0)` is a block-causal mask.

    Args:
        size: number of positions in a block.
        left: number of blocks before the query's; None for all of them.
        right: number of blocks after it; None for all of them.
        offset: position of the first query.

        >>> print(block_window(2, left=1, right=0).dense(6, 6).astype(int))
        [[1 1 0 0 0 0]
         [1 1 0 0 0 0]
         [1 1 1 1 0 0]
         [1 1 1 1 0 0]
         [0 0 1 1 1 1]
         [0 0 1 1 1 1]]
    """
    name, sides = "block_window", {"left": left, "right": right}
    of_sides = (None if x is None else whole(name, side, x, 0) for side, x in sides.items())
    return Mask(
        near_block, (whole(name, "size", size, 1), *of_sides, whole(name, "offset", offset))
    )


def strided(stride: Integer, offset: Integer = 0) -> Mask:
    """Returns the causal mask of the `stride` keys before the query, and of each `stride`-th key.

    In a sequence of about `stride`² tokens a query has about two times `stride` keys, and two
    layers reach all earlier tokens. The paper gives each of the two parts to heads of their own, or
    to layers in turn, or merges both, as here.

    Args:
        stride: number of tokens in a row of the data, such as the width of an image.
        offset: position of the first query.
    """
    stride, offset = whole("strided", "stride", stride, 1), whole("strided", "offset", offset)
    return causal(offset) & (window(stride, 0, offset) | dilated(stride, offset))


def fixed(size: Integer, count: Integer = 1, *, part: Integer = 0, offset: Integer = 0) -> Mask:
    """Returns the causal mask of the query's block, and of the last `count` keys of each block.

    The last keys of a block are its summary, which all later queries see.

    Args:
        size: number of positions in a block, l in the paper.
        count: number of keys of a summary, c in the paper.
        part: which keys are the summary: 0 for the last `count` of a block, 1 for the `count`
            before these. Heads may have parts of their own.
        offset: position of the first query.

    Raises:
        ValueError: if a block has no such part.
    """
    size, count = (whole("fixed", n, x, 1) for n, x in (("size", size), ("count", count)))
    part, offset = whole("fixed", "part", part, 0), whole("fixed", "offset", offset)
    if all(isinstance(x, int) for x in (size, count, part)) and count * (part + 1) > size:
        expected = f"at most {size} positions (size) in parts 0 to {part}"
        raise ValueError(f"masks.fixed: count is {count} and part {part}, expected {expected}")
    return causal(offset) & (blocks(size, offset) | Mask(of_summaries, (size, count, part)))


def longformer(
    side: Integer,
    is_global: Bool[Array, " t"] | None = None,
    *,
    dilation: Integer = 1,
    offset: Integer = 0,
) -> Mask:
    """Returns the mask of a window with gaps, and of tokens that attend to all and are seen by all.

    Longformer also has projections of their own for queries, keys and values of global tokens.

    Args:
        side: number of keys before and after the query, half of the paper's w.
        is_global: True for each global token; None for none.
        dilation: distance of neighbouring keys in the window.
        offset: position of the first query among the keys; with global tokens it has to be 0.
    """
    name = "longformer"
    side, offset = whole(name, "side", side, 0), whole(name, "offset", offset)
    dilation = whole(name, "dilation", dilation, 1)
    reach = side * dilation
    mask = window(reach, reach, offset)
    if not (isinstance(dilation, int) and dilation == 1):
        mask = mask & dilated(dilation, offset)
    if is_global is None:
        return mask
    if not isinstance(offset, int) or offset:
        raise ValueError("masks.longformer: offset is not 0, expected 0 with is_global")
    return mask | global_positions(is_global)


def global_positions(
    is_global: Bool[Array, " t"], is_global_key: Bool[Array, " s"] | None = None
) -> Mask:
    """Returns the mask by which some positions attend to all and are seen by all.

    Args:
        is_global: True for each query that attends to all keys. More axes in front are those of
            `jax.vmap`, or in `dot_product_attention` those of the batch.
        is_global_key: True for each key that all queries attend to; None for the same positions.
    """
    queries = _flags("is_global", is_global)
    keys = queries if is_global_key is None else _flags("is_global_key", is_global_key)
    return Mask(of_global_positions, (queries, keys), (queries.shape[-1], keys.shape[-1]))


def streaming(window_size: Integer, first_tokens: Integer, offset: Integer = 0) -> Mask:
    """Returns the causal mask of the last keys and of the first ones, the attention sinks.

    It is the mask of `init_rolling_cache`.

    Args:
        window_size: number of the last keys, the query's own included.
        first_tokens: number of the first keys.
        offset: position of the first query.
    """
    window_size = whole("streaming", "window_size", window_size, 1)
    first_tokens = whole("streaming", "first_tokens", first_tokens, 0)
    offset = whole("streaming", "offset", offset)
    return window(window_size - 1, 0, offset) | (prefix(first_tokens) & causal(offset))


def _flags(argument: str, flags: Any) -> Any:
    name = f"masks.global_positions: {argument}"
    check_array(name, flags)
    flags = flags if hasattr(flags, "shape") else np.array(flags)
    if str(flags.dtype) != "bool" or not flags.ndim:
        described = f"{flags.dtype}{list(flags.shape)}"
        raise ValueError(f"{name} is {described}, expected one boolean for each position")
    return flags


def near_block(queries, keys, size, left, right, offset):
    distance = keys // size - (queries + offset) // size
    inside = jnp.ones_like(distance, bool) if left is None else distance >= -left
    return inside if right is None else inside & (distance <= right)


def of_summaries(queries, keys, size, count, part):
    stop = size - part * count
    return (keys % size >= stop - count) & (keys % size < stop)


def of_global_positions(queries, keys, is_global, is_global_key):
    return jnp.asarray(is_global)[queries] | jnp.asarray(is_global_key)[keys]


OPERAND_AXES |= {near_block: 0, of_summaries: 0, of_global_positions: 1}
