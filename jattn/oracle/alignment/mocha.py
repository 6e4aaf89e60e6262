"""Monotonic chunkwise attention in NumPy, one query and one chunk at a time."""

import numpy as np

from jattn.oracle.alignment.in_order import at_keys, gradients_of, in_order
from jattn.oracle.alignment.monotonic import walk, with_direction
from jattn.oracle.alignment.scoring import scores_of
from jattn.oracle.attention.attend import kept_pairs


def mocha(params, query, key, value, *, width, mask=None, bias=None, initial=None):
    """Returns ((context, weights), pullback), as `jax.vjp` does: `in_windows` of this width."""
    return in_windows(params, query, key, value, width, mask, bias, initial)


def in_windows(params, query, key, value, width, mask, bias, initial):
    """Returns ((context, weights), pullback) of chunks of at most `width` keys.

    For one query with the weights α of its monotonic part, and the softmax y_k of the scores u in
    the window that ends at key k, the weights are β = Σ_k α_k y_k. For a cotangent g of β:

        dα_k = y_k · g      du_l += α_k y_kl (g_l - y_k · g) in each window

    and dα of the next query's state is added to dα.
    """
    kept = kept_pairs(mask, bias, len(query), len(key))
    start = np.eye(1, len(key))[0]
    if initial is not None:
        start = np.where(kept.any(0), initial, 0)
    stopping, of_scale = with_direction(params.monotonic)

    def weigh(before, row, keys):
        scores, of_scores = scores_of(stopping, query, key, row, keys)
        energy = scores + stopping.offset + (0 if bias is None else bias[row, keys])
        stop = 1 / (1 + np.exp(-energy))
        alpha, of_walk = walk(stop, before, keys)
        rated, of_rated = scores_of(params.chunk, query, key, row, keys)
        windows = [np.flatnonzero((keys > end - width) & (keys <= end)) for end in keys]
        shares = []
        for inside in windows:
            parts = np.exp(rated[inside] - rated[inside].real.max())
            shares.append(parts / parts.sum())
        weights = np.zeros(len(keys), np.result_type(alpha, rated))
        for mass, inside, share in zip(alpha, windows, shares, strict=True):
            weights[inside] += mass * share

        def back(d_weights, d_after, gradients):
            d_alpha, d_rated = d_after[keys], np.zeros(len(keys), d_weights.dtype)
            for index, (inside, share) in enumerate(zip(windows, shares, strict=True)):
                mean = share @ d_weights[inside]
                d_alpha[index] += mean
                d_rated[inside] += alpha[index] * share * (d_weights[inside] - mean)
            d_stop, d_before = of_walk(d_alpha)
            d_energy = d_stop * stop * (1 - stop)
            gradients["offset"] += d_energy.sum()
            if bias is not None:
                gradients["pairs"][row, keys] += d_energy
            of_scores(d_energy, gradients)
            of_rated(d_rated, of_chunk(gradients))
            return d_before

        return weights, at_keys(alpha, keys, len(key)), back

    arrays = params.monotonic._asdict() | {"query": query, "key": key, "pairs": bias}
    arrays |= {f"chunk {name}": array for name, array in params.chunk._asdict().items()}
    output, of_queries = in_order(weigh, start, value, kept, arrays)

    def of_parts(cotangent):
        d_value, d_start, gradients = of_scale(of_queries)(cotangent)
        inner = of_chunk(gradients)
        for name, part, found in (
            ("monotonic", stopping, gradients),
            ("chunk", params.chunk, inner),
        ):
            gradients[name] = type(part)(*(found.get(field) for field in part._fields))
        return d_value, d_start, gradients

    return output, gradients_of(of_parts, params, kept, initial)


def of_chunk(gradients):
    """Returns the gradients of the chunk's network, and of query and key, by their own names."""
    own = {n.removeprefix("chunk "): g for n, g in gradients.items() if n.startswith("chunk ")}
    return own | {"query": gradients["query"], "key": gradients["key"]}
