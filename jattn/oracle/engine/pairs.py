"""Pairs of query and key that count in batched attention, and sums over broadcast axes."""

import math

import numpy as np


def allowed_pairs(
    shape, bias, mask, is_causal, query_lengths, key_lengths, window, offset
) -> np.ndarray:
    """True for each [batch, head, query, key] that counts; `shape` is (*leading axes, h, t, s).

    A pair counts when each of these that is given lets it: a bias other than -inf, the mask, both
    lengths, key <= p, and p - left <= key <= p + right, where p = query + offset.
    """
    allowed = np.ones(shape, bool)
    if mask is not None:
        allowed &= np.broadcast_to(mask, shape)
    if bias is not None:
        allowed &= np.broadcast_to(bias.real != -np.inf, shape)
    *leading, heads, t, s = shape
    allowed = allowed.reshape(math.prod(leading), heads, t, s)
    query_ends = by_batch(t if query_lengths is None else query_lengths, leading)
    key_ends = by_batch(s if key_lengths is None else key_lengths, leading)
    left, right = window if isinstance(window, tuple) else (window, window)
    for batch, query, key in np.ndindex(len(allowed), t, s):
        place = query + by_batch(offset, leading)[batch]
        allowed[batch, :, query, key] &= (
            query < query_ends[batch]
            and key < key_ends[batch]
            and not (is_causal and key > place)
            and not (left is not None and key < place - left)
            and not (right is not None and key > place + right)
        )
    return allowed


def by_batch(number, leading):
    """One number for each element of the batch, of a number or of an array of them."""
    return np.broadcast_to(number, tuple(leading) or (1,)).reshape(-1)


def added_up(gradient, shape):
    """The gradient of a broadcast array of `shape`: a sum over the axes that it lacked."""
    gradient = gradient.sum(tuple(range(gradient.ndim - len(shape))))
    stretched = tuple(axis for axis, size in enumerate(shape) if size == 1)
    return gradient.sum(stretched, keepdims=True)
