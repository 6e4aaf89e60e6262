"""Block diffusion: Arriola, Gokaslan, Chiu et al. (2025), arXiv:2503.09573."""

import jax.numpy as jnp

from jattn.masks.algebra import OPERAND_AXES, Mask
from jattn.masks.patterns import Integer, whole


def block_diffusion(length: Integer, size: Integer) -> Mask:
    """Returns the mask of training a block diffusion model in one pass over two copies.

    The sequence is the noised copy of `length` tokens, followed by the clean copy.

        [noised to noised: same block     noised to clean: earlier blocks      ]
        [clean to noised:  nothing        clean to clean:  same or earlier ones]

    Each noised block is denoised given the clean blocks before it, as in generation, where these
    are in a cache. Blocks of one token make the clean part causal.

    Args:
        length: number of tokens of one copy.
        size: number of tokens of a block; the last one may be smaller.

        >>> print(block_diffusion(4, 2).dense(8, 8).astype(int))
        [[1 1 0 0 0 0 0 0]
         [1 1 0 0 0 0 0 0]
         [0 0 1 1 1 1 0 0]
         [0 0 1 1 1 1 0 0]
         [0 0 0 0 1 1 0 0]
         [0 0 0 0 1 1 0 0]
         [0 0 0 0 1 1 1 1]
         [0 0 0 0 1 1 1 1]]
    """
    length = whole("block_diffusion", "length", length, 1)
    size = whole("block_diffusion", "size", size, 1)
    both = 2 * length if isinstance(length, int) else None
    return Mask(denoising, (length, size), (both, both))


def denoising(queries, keys, length, size):
    clean_query, clean_key = queries >= length, keys >= length
    query = jnp.where(clean_query, queries - length, queries) // size
    key = jnp.where(clean_key, keys - length, keys) // size
    same = (query == key) & (clean_query == clean_key)
    return same | (clean_key & (key < query))


OPERAND_AXES[denoising] = 0
