"""BigBird: Zaheer, Guruganesh, Dubey, Ainslie, Alberti et al. (2020), arXiv:2007.14062."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Key

from jattn._options import check_dtype
from jattn.masks.algebra import OPERAND_AXES, Mask
from jattn.masks.patterns import whole


def big_bird(
    rng: Key[Array, ""],
    length: int,
    *,
    block_size: int = 64,
    side: int = 1,
    first_blocks: int = 1,
    last_blocks: int = 1,
    random_blocks: int = 3,
) -> Mask:
    """Returns the mask of blocks near the query's, of global blocks and of some at random.

    Blocks of `block_size` positions tile the sequence. The first and the last blocks attend to all
    and are seen by all. Each other block of queries sees its neighbours, and `random_blocks` blocks
    that are neither global nor near, drawn without replacement; all of these if there are fewer.

    Args:
        rng: key of the random blocks. Each head and layer may have its own.
        length: number of positions; the last block may be smaller.
        block_size: number of positions in a block.
        side: number of neighbouring blocks on each side, 1 for the paper's window of 3 blocks.
        first_blocks: number of global blocks at the beginning.
        last_blocks: number of global blocks at the end.
        random_blocks: number of random blocks of each block of queries.

    Raises:
        ValueError: if `rng` is no key, or a number is out of range.
    """
    check_dtype("masks.big_bird: rng", ["prng_key"], rng)
    counts = {"first_blocks": first_blocks, "last_blocks": last_blocks}
    counts = {"side": side, **counts, "random_blocks": random_blocks}
    sizes = {"length": (length, 1), "block_size": (block_size, 1)}
    sizes |= {name: (count, 0) for name, count in counts.items()}
    numbers: list[Any] = [whole("big_bird", name, x, least) for name, (x, least) in sizes.items()]
    for name, number in zip(sizes, numbers, strict=True):
        if not isinstance(number, int | np.integer):
            expected = "an integer that is known before the run"
            raise ValueError(f"masks.big_bird: {name} is traced or an array, expected {expected}")
    numbers = [int(x) for x in numbers]
    pairs, length, block_size = _blocks(rng, *numbers), *numbers[:2]
    if not isinstance(pairs, Tracer):
        pairs = np.asarray(pairs)  # Known to a plan also inside `jax.jit`.
    return Mask(in_blocks, (pairs, block_size), (length, length))


def _blocks(
    rng: Key[Array, ""], length: int, size: int, side: int, first: int, last: int, count: int
) -> Bool[Array, "n n"]:
    """Returns True where a block of queries sees a block of keys."""
    block = np.arange(-(-length // size))
    is_global = (block < first) | (block >= len(block) - last)
    fixed = is_global[:, None] | is_global | (abs(block[:, None] - block) <= side)
    with jax.ensure_compile_time_eval():
        draws = jnp.where(fixed, 2.0, jax.random.uniform(rng, fixed.shape))
        place = draws.argsort(axis=1).argsort(axis=1)  # Of each block in the order of the draws.
        return jnp.asarray(fixed) | (place < count)


def in_blocks(queries, keys, pairs, size):
    return jnp.asarray(pairs)[queries // size, keys // size]


OPERAND_AXES[in_blocks] = (2, 0)
