"""Blocks of native sparse attention in NumPy, one query at a time, by the paper's double sum."""

import numpy as np

from jattn.oracle.normalizers import softmax
from jattn.oracle.selectors.top_k import best, constant, permitted


def native_blocks(
    query,
    key,
    *,
    block_size,
    count,
    compressed_size=None,
    stride=None,
    initial=1,
    local=2,
    offset=0,
    mask=None,
):
    """Returns (mask, pullback), as `jax.vjp` does. A choice is constant, of gradient zero."""
    size, step = lengths(block_size, compressed_size, stride)
    heads = query.real if query.ndim == 3 else query.real[:, None]
    pasts = permitted(mask, len(query), len(key), int(offset))
    starts, kept = compressed_blocks(pasts, len(key), size, step)
    weights = np.zeros(kept.shape)
    means = [key.real[start : start + size].sum(0) / size for start in starts]
    for head in range(heads.shape[1]):
        scores = np.zeros(kept.shape)
        for t, c in zip(*np.nonzero(kept), strict=True):
            scores[t, c] = means[c] @ heads[t, head] / np.sqrt(max(heads.shape[2], 1))
        weights += softmax(scores, kept)[0]
    sizes = (block_size, size, step)
    chosen = blocks_by_weight(weights, pasts, len(key), sizes, count, initial, local, int(offset))
    return chosen, constant(query, key)


def lengths(block_size, compressed_size, stride):
    """Returns the number of keys of a compressed block and the stride, with their defaults."""
    size = compressed_size if compressed_size is not None else block_size
    return size, stride if stride is not None else size


def compressed_blocks(pasts, s, size, step):
    """Returns the first key of each compressed block, and which of them each query sees whole."""
    starts = list(range(0, s, step))
    kept = np.zeros((len(pasts), len(starts)), bool)
    for t, keys in enumerate(pasts):
        for c, start in enumerate(starts):
            kept[t, c] = set(range(start, start + size)) <= set(keys)
    return starts, kept


def blocks_by_weight(weights, pasts, s, sizes, count, initial, local, offset):
    """Returns the keys of the chosen blocks, whose importance is the double sum.

    It is Σ_m Σ_n p[(l' / d) j - m - n] with m < l' / d and n < l / d, where j and the index of p
    count from 1.
    """
    block_size, size, step = sizes
    chosen = np.zeros((len(pasts), s), bool)
    for t, keys in enumerate(pasts):
        scores = {}
        for block in {key // block_size for key in keys}:
            scores[block] = 0.0
            for m in range(block_size // step):
                for n in range(size // step):
                    place = block_size // step * (block + 1) - m - n
                    if 1 <= place <= weights.shape[1]:
                        scores[block] += weights[t, place - 1]
            own = (t + offset) // block_size
            if block < initial or own - local < block <= own:
                scores[block] = np.inf
        blocks = best(scores, scores, count)
        chosen[t, [key for key in keys if key // block_size in blocks]] = True
    return chosen
