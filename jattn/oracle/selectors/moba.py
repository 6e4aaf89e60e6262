"""Mixture of block attention in NumPy, one query at a time."""

import numpy as np

from jattn.oracle.selectors.top_k import best, constant, permitted


def moba(query, key, *, block_size, count, offset=0, mask=None):
    """Returns (mask, pullback), as `jax.vjp` does. A choice is constant, of gradient zero."""
    chosen = np.zeros((len(query), len(key)), bool)
    offset = int(offset)
    for t, keys in enumerate(permitted(mask, len(query), len(key), offset)):
        members = {}
        for s in keys:
            members.setdefault(s // block_size, []).append(s)
        scores = {b: np.mean(key[of], axis=0).real @ query[t].real for b, of in members.items()}
        own = (t + offset) // block_size
        if own in scores:
            scores[own] = np.inf
        for block in best(scores, scores, int(count)):
            chosen[t, members[block]] = True
    return chosen, constant(query, key)
