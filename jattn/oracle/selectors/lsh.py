"""Locality-sensitive hashing in NumPy, one token at a time."""

import numpy as np

from jattn.oracle.selectors.top_k import constant


def lsh(query, rotations, *, mask=None):
    """Returns (mask, pullback), as `jax.vjp` does. A choice is constant, of gradient zero."""
    count = len(query)
    chosen = np.zeros((count, count), bool)
    hashes = [[bucket(row.real, rotation.real) for rotation in rotations] for row in query]
    for t in range(count):
        near = [
            s
            for s in range(count)
            if any(a == b for a, b in zip(hashes[t], hashes[s], strict=True))
            and (mask is None or mask[t, s])
        ]
        chosen[t, [s for s in near if s != t] or near] = True
    return chosen, constant(query, rotations)


def bucket(row, rotation):
    """Returns the number of the direction, or opposite direction, that is closest to a row."""
    projections = row @ rotation
    return int(np.argmax([*projections, *-projections])) if len(projections) else 0
