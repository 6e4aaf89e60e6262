"""Clusters of the routing transformer in NumPy, one token at a time."""

import numpy as np

from jattn.oracle.selectors.top_k import best, constant


def routing(query, key, centroids, *, count=None, mask=None):
    """Returns (mask, pullback), as `jax.vjp` does. A choice is constant, of gradient zero."""
    allowed = np.ones((len(query), len(key)), bool) if mask is None else mask
    queries = clusters(query.real, centroids.real, np.flatnonzero(allowed.any(1)), count)
    keys = clusters(key.real, centroids.real, np.flatnonzero(allowed.any(0)), count)
    chosen = np.zeros(allowed.shape, bool)
    for of_query, of_key in zip(queries, keys, strict=True):
        for t in of_query:
            chosen[t, [s for s in of_key if allowed[t, s]]] = True
    return chosen, constant(query, key, centroids)


def clusters(rows, centroids, valid, count):
    """Returns the places of the members of each cluster."""
    affinity = {place: affinities(rows[place], centroids) for place in valid}
    if count is not None:
        of_cluster = [{p: a[c] for p, a in affinity.items()} for c in range(len(centroids))]
        return [best(scores, scores, int(count)) for scores in of_cluster]
    nearest = {p: int(np.argmax(a)) for p, a in affinity.items() if len(a)}
    return [[p for p, c in nearest.items() if c == cluster] for cluster in range(len(centroids))]


def affinities(row, centroids):
    """Returns the products of the centroids with a row of mean zero and deviation one, or zeros."""
    away = row - row.mean() if len(row) else row
    deviation = np.sqrt(np.mean(away**2)) if len(row) else 0.0
    products = np.array([centroid @ away for centroid in centroids])
    return products / deviation if deviation > 0 else products
