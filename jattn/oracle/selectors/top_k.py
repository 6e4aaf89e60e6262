"""The keys with the largest scores in NumPy, one query at a time."""

import numpy as np


def top_k(scores, mask=None, *, count):
    """Returns (mask, pullback), as `jax.vjp` does. A choice is constant, of gradient zero."""
    chosen = np.zeros(scores.shape, bool)
    for t, row in enumerate(scores.real):
        keys = [s for s, e in enumerate(row) if e != -np.inf and (mask is None or mask[t, s])]
        chosen[t, best(keys, row, int(count))] = True
    return chosen, constant(scores)


def best(places, scores, count):
    """Returns the places with the largest scores, the earlier of equal ones."""
    return sorted(places, key=lambda place: (-scores[place], place))[:count]


def constant(*arrays):
    """Returns a pullback of zeros."""
    return lambda _: tuple(np.zeros_like(array) for array in arrays)


def permitted(mask, t, s, offset=0):
    """Returns, for each query, the keys up to its position that the mask allows."""
    return [
        [key for key in range(s) if key <= query + offset and (mask is None or mask[query, key])]
        for query in range(t)
    ]
