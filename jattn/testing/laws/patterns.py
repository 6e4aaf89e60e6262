# pyright: reportArgumentType=false
"""Laws of masks: neighbourhoods, windows of grids, strides, blocks."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jattn
from jattn import masks
from jattn.testing.laws.law import RNG, K, V, law

ROWS, COLUMNS = 6, 9
GRID, TOKENS = (ROWS, COLUMNS), ROWS * COLUMNS
INPUTS: Any = [RNG.standard_normal((TOKENS, size)) for size in (K, K, V)]


def attend(mask: Any, *inputs: Any) -> Any:
    return jattn.scaled_dot_product_attention(*(inputs or INPUTS), mask=mask).context


@law
def every_query_has_a_neighbourhood_of_one_size():
    """masks.neighbourhood: every query has `size` keys, at the borders and with gaps too."""
    for size, dilation in ((3, 1), (4, 2), (2, 5)):
        mask = masks.neighbourhood(size, 11, dilation=dilation)
        yield mask.dense(11, 11).sum(1), np.full(11, size)
    window = masks.window(1, 1).dense(11, 11).sum(1)
    yield window[np.array([0, 1, 10])], np.array([2, 3, 2])  # A window has fewer at the borders.


@law
def a_neighbourhood_of_all_is_global_attention():
    """masks.neighbourhood: with as many keys as there are, it hides nothing."""
    yield attend(masks.neighbourhood(TOKENS, TOKENS)), attend(None)
    yield attend(masks.grid_neighbourhood(GRID, GRID)), attend(None)


@law
def a_dilated_neighbourhood_is_one_of_each_group():
    """masks.neighbourhood: with a dilation d it is computed in d sequences of each d-th token."""
    found, step = attend(masks.neighbourhood(3, TOKENS, dilation=4)), 4
    for group in range(step):
        part = [x[group::step] for x in INPUTS]
        yield found[group::step], attend(masks.neighbourhood(3, len(part[0])), *part)


@law
def a_grid_neighbourhood_is_one_of_each_axis():
    """masks.grid_neighbourhood: pairs are the product of neighbourhoods of rows and of columns."""
    of_rows = masks.neighbourhood(3, ROWS, dilation=2).dense(ROWS, ROWS)
    of_columns = masks.neighbourhood(5, COLUMNS).dense(COLUMNS, COLUMNS)
    whole = masks.grid_neighbourhood(GRID, (3, 5), dilation=(2, 1))
    yield whole.dense(TOKENS, TOKENS), np.kron(of_rows, of_columns)


@law
def shifted_windows_are_rolled_partitioned_and_masked():
    """masks.grid_windows: roll, partition, mask by regions, attend, reverse (Swin) is one mask."""
    size, shift = (3, 3), (1, 2)
    back = tuple(-x for x in shift)

    def rolled(rows: Any) -> Any:
        """Windows of the rolled grid, [windows tokens features]."""
        grid = jnp.roll(rows.reshape(*GRID, -1), back, (0, 1))
        windows = grid.reshape(ROWS // size[0], size[0], COLUMNS // size[1], size[1], -1)
        return windows.transpose(0, 2, 1, 3, 4).reshape(-1, size[0] * size[1], grid.shape[-1])

    def reversed_(windows: Any) -> Any:
        grid = windows.reshape(ROWS // size[0], COLUMNS // size[1], *size, -1)
        grid = grid.transpose(0, 2, 1, 3, 4).reshape(*GRID, -1)
        return jnp.roll(grid, shift, (0, 1)).reshape(TOKENS, -1)

    regions = np.zeros(GRID, int)  # Of the grid once it is rolled, three along each axis.
    for axis, (length, tokens, step) in enumerate(zip(GRID, size, shift, strict=True)):
        place = np.arange(length)
        region = (place >= length - tokens).astype(int) + (place >= length - step)
        regions = 3 * regions + np.expand_dims(region, 1 - axis)
    regions = jnp.roll(regions, shift, (0, 1)).reshape(TOKENS, 1)  # `rolled` rolls them back.
    each = jax.vmap(lambda ids, *x: attend(masks.segments(ids[:, 0]), *x))
    windows = each(rolled(regions), *(rolled(x) for x in INPUTS))
    yield reversed_(windows), attend(masks.grid_windows(GRID, size, shift=shift))


@law
def windows_in_order_are_blocks():
    """masks.grid_windows: with the tokens of each window side by side it is masks.blocks."""
    order = np.arange(TOKENS).reshape(2, 3, 3, 3).transpose(0, 2, 1, 3).reshape(-1)
    in_order = attend(masks.blocks(9), *(x[order] for x in INPUTS))
    yield in_order, attend(masks.grid_windows(GRID, 3))[order]


@law
def columns_are_rows_of_the_transposed_grid():
    """masks.axial: along columns it is along rows once the grid is transposed."""
    order = np.arange(TOKENS).reshape(GRID).T.reshape(-1)
    transposed = attend(masks.axial((COLUMNS, ROWS), 1), *(x[order] for x in INPUTS))
    yield transposed, attend(masks.axial(GRID, 0))[order]


@law
def a_strided_pattern_does_not_depend_on_the_window_s_end():
    """masks.strided: a window of l keys, its own included, and one of l + 1 have the same union."""
    shorter = masks.causal() & (masks.window(3, 0) | masks.dilated(4))
    yield masks.strided(4).dense(15, 15), shorter.dense(15, 15)


@law
def a_summary_of_the_whole_block_is_causal():
    """masks.fixed: a summary of a whole block is causal attention, as all parts together are."""
    yield attend(masks.fixed(5, 5)), attend(masks.causal())
    parts = masks.fixed(6, 2) | masks.fixed(6, 2, part=1) | masks.fixed(6, 2, part=2)
    yield parts.dense(TOKENS, TOKENS), masks.causal().dense(TOKENS, TOKENS)


@law
def blocks_near_by_are_a_window_of_blocks():
    """masks.block_window: it is a window over blocks; blocks of one token make it masks.window."""
    of_blocks = masks.window(2, 1).dense(6, 6)
    yield masks.block_window(9, 2, 1).dense(TOKENS, TOKENS), np.kron(of_blocks, np.ones((9, 9)))
    yield attend(masks.block_window(1, 2, 1)), attend(masks.window(2, 1))


@law
def big_bird_without_chance_is_a_window_and_global_blocks():
    """masks.big_bird: without random blocks it is block_window and global_positions."""
    options = {"block_size": 3, "last_blocks": 0, "random_blocks": 0}
    mask = masks.big_bird(jax.random.key(0), TOKENS, **options)
    expected = masks.block_window(3, 1, 1) | masks.global_positions(np.arange(TOKENS) < 3)
    yield attend(mask), attend(expected)


@law
def block_diffusion_is_attention_of_each_block_after_clean_ones():
    """masks.block_diffusion: each noised block attends to itself and to the clean blocks before."""
    length, size = TOKENS // 2, 9
    context = attend(masks.block_diffusion(length, size))
    for first in range(0, length, size):
        own = np.arange(first, first + size)
        keys = np.concatenate([own, length + np.arange(first)])
        query, key, value = INPUTS
        yield context[own], attend(None, query[own], key[keys], value[keys])
    clean = [x[length:] for x in INPUTS]
    yield context[length:], attend(masks.block_window(size, None, 0), *clean)


@law
def streaming_is_a_rolling_cache():
    """masks.streaming: the context of each token is that of a step with init_rolling_cache."""
    query, key, value = (x[None, :12, None] for x in INPUTS)
    sizes = {"window": 4, "first_tokens": 2, "key_size": K, "value_size": V}
    cache = jattn.init_rolling_cache(1, key_value_heads=1, dtype=key.dtype, **sizes)

    def step(cache: Any, token: Any) -> Any:
        query, key, value = (x[None] for x in token)
        cache = jattn.extend_cache(cache, key, value)
        return cache, jattn.attend_to_cache(query, cache)[0, 0, 0]

    tokens = [jnp.moveaxis(x, 1, 0) for x in (query, key, value)]
    _, contexts = jax.lax.scan(step, cache, tokens)
    short = [x[:12] for x in INPUTS]
    yield contexts, attend(masks.streaming(4, 2), *short)
