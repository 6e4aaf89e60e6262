"""Nyström attention in NumPy, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.attention.heads import products
from jattn.oracle.normalizers import softmax


def nystrom_attention(
    query, key, value, *, landmarks, steps=6, query_valid=None, valid=None, scale=None
):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    With F, A and B the softmax matrices of queries and landmarks, of landmarks, and of landmarks
    and keys, and Z the iterated inverse of A, the weights are W = F Z B and c = W v:

        dW = dweights + dc vᵀ     dv = Wᵀ dc     dF = dW (Z B)ᵀ     dZ = Fᵀ dW Bᵀ     dB = (F Z)ᵀ dW

    A landmark is a mean, whose members share its gradient.
    """
    rows = [s for s in range(len(query)) if query_valid is None or query_valid[s]]
    columns = [s for s in range(len(key)) if valid is None or valid[s]]
    of_rows, of_columns = segments(rows, landmarks), segments(columns, landmarks)
    queries, keys = means(query, of_rows), means(key, of_columns)
    full, empty = (
        [m for m, s in enumerate(of_rows) if s],
        [m for m, s in enumerate(of_columns) if s],
    )
    far, of_far = softmax_of(query, keys, rows, empty, scale)
    near, of_near = softmax_of(queries, keys, full, empty, scale)
    back, of_back = softmax_of(queries, key, full, columns, scale)
    inverse, of_inverse = iterated(near, steps)
    weights = far @ inverse @ back
    used = np.zeros(value.shape, value.dtype)
    used[columns] = value[columns]

    def pullback(cotangent):
        d_context, d_weights = cotangent
        d_weights = d_weights + d_context @ used.T
        d_query, d_keys, d_scale = of_far(d_weights @ (inverse @ back).T)
        d_near = of_inverse(far.T @ d_weights @ back.T)
        d_queries, d_keys_too, d_scale_too = of_near(d_near)
        d_queries_too, d_key, d_scale_last = of_back((far @ inverse).T @ d_weights)
        for m, members in enumerate(of_rows):
            for s in members:
                d_query[s] += (d_queries[m] + d_queries_too[m]) / len(members)
        for m, members in enumerate(of_columns):
            for s in members:
                d_key[s] += (d_keys[m] + d_keys_too[m]) / len(members)
        d_value = np.zeros(value.shape, d_weights.dtype)
        d_value[columns] = weights[:, columns].T @ d_context
        of_scale = (d_scale + d_scale_too + d_scale_last,) if hasattr(scale, "dtype") else ()
        return d_query, d_key, d_value, *of_scale

    return (weights @ used, weights), pullback


def segments(places, count):
    """Returns the places of each of `count` segments, whose sizes differ by one at most."""
    found = [[] for _ in range(count)]
    for rank, place in enumerate(places):
        found[rank * count // len(places)].append(place)
    return found


def means(rows, members):
    """Returns the mean of the rows of each segment, zeros of an empty one."""
    result = np.zeros((len(members), rows.shape[1]), rows.dtype)
    for m, places in enumerate(members):
        for place in places:
            result[m] += rows[place] / len(places)
    return result


def softmax_of(query, key, rows, columns, scale):
    """Returns (softmax of the scaled products of some rows and columns, pullback)."""
    kept = np.zeros((len(query), len(key)), bool)
    kept[np.ix_(rows, columns)] = True
    scores, of_scores = products(query, key, scale, kept)
    weights, of_weights = softmax(scores, kept)
    return weights, lambda d_weights: of_scores(of_weights(d_weights)[0])


def iterated(matrix, steps):
    """Returns (inverse, pullback) of Z ← Z G / 4, G = 13 - P H, H = 15 - P (7 - P), P = A Z.

    Backwards, with dZ of a step's result:

        dG = Zᵀ dZ / 4      dP = -dG Hᵀ + dH-part      dH = -Pᵀ dG
        H = 15 - 7 P + P P: dP += -7 dH + dH Pᵀ + Pᵀ dH
        dA += dP Zᵀ         dZ ← dZ Gᵀ / 4 + Aᵀ dP

    The start is Aᵀ / n with n the largest column sum, so dA += dZᵀ / n, and each entry of that
    column gets -Σ (dZ Z) / n.
    """
    columns = matrix.sum(0)
    largest = int(np.argmax(columns.real)) if len(columns) else 0
    norm = columns[largest] if len(columns) and columns[largest] != 0 else 1.0
    inverse, one, trail = matrix.T / norm, np.eye(len(matrix)), []
    start = inverse
    for _ in range(steps):
        product = matrix @ inverse
        outer = 15 * one - 7 * product + product @ product
        gain = 13 * one - product @ outer
        trail.append((inverse, product, outer, gain))
        inverse = inverse @ gain / 4

    def pullback(d_inverse):
        d_matrix = np.zeros(matrix.shape, np.result_type(matrix, d_inverse))
        for before, product, outer, gain in reversed(trail):
            d_gain = before.T @ d_inverse / 4
            d_outer = -product.T @ d_gain
            d_product = -d_gain @ outer.T - 7 * d_outer
            d_product = d_product + d_outer @ product.T + product.T @ d_outer
            d_matrix += d_product @ before.T
            d_inverse = d_inverse @ gain.T / 4 + matrix.T @ d_product
        d_matrix += d_inverse.T / norm
        if len(matrix) and columns[largest] != 0:
            d_matrix[:, largest] -= (d_inverse * start).sum() / norm
        return d_matrix

    return inverse, pullback
