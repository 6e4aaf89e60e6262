"""Monotonic attention in NumPy, one query at a time, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.alignment.in_order import gradients_of, in_order
from jattn.oracle.alignment.scoring import scores_of
from jattn.oracle.attention.attend import kept_pairs


def monotonic(params, query, key, value, *, mask=None, bias=None, initial=None):
    """Returns ((context, weights), pullback), as `jax.vjp` does: `walk` with p = σ(e)."""

    def stop(energy):
        probability = 1 / (1 + np.exp(-energy))
        return probability, probability / (1 + np.exp(energy))

    return in_steps(stop, params, query, key, value, mask, bias, initial)


def in_steps(stop, params, query, key, value, mask, bias, initial):
    """Returns ((context, weights), pullback) where `stop(energy)` is the probability and its slope.

    The energy is that of additive attention with the score weight w = g v / |v|, plus r. So

        dg = dw · v / |v|      dv = g (dw - (dw · v) v / |v|²) / |v|      dr = Σ de
    """
    kept = kept_pairs(mask, bias, len(query), len(key))
    start = np.zeros(len(key))
    start[:1] = 1
    if initial is not None:
        start = np.where(kept.any(0), initial, 0)
    scaled, of_scale = with_direction(params)

    def weigh(before, row, keys):
        scores, of_scores = scores_of(scaled, query, key, row, keys)
        energy = scores + params.offset + (0 if bias is None else bias[row, keys])
        probability, slope = stop(energy)
        weights, of_walk = walk(probability, before, keys)

        def back(d_weights, d_after, gradients):
            d_probability, d_before = of_walk(d_weights + d_after[keys])
            d_energy = d_probability * slope
            gradients["offset"] += d_energy.sum()
            if bias is not None:
                gradients["pairs"][row, keys] += d_energy
            of_scores(d_energy, gradients)
            return d_before

        after = np.zeros(len(key), weights.dtype)
        after[keys] = weights
        return weights, after, back

    arrays = params._asdict() | {"query": query, "key": key, "pairs": bias}
    output, of_queries = in_order(weigh, start, value, kept, arrays)
    return output, gradients_of(of_scale(of_queries), params, kept, initial)


def with_direction(params):
    """Returns parameters whose score weight is g v / |v|, and what turns its gradient into both."""
    vector, gain = params.score_weight, params.gain
    length = np.sqrt(vector @ vector) if vector.any() else 1
    unit = vector / length

    def of_scale(of_queries):
        def pullback(cotangent):
            d_value, d_start, gradients = of_queries(cotangent)
            d_scaled = gradients["score_weight"]
            along = d_scaled @ unit
            gradients["score_weight"] = gain * (d_scaled - along * unit) / length
            gradients["gain"] = np.asarray(along)
            return d_value, d_start, gradients

        return pullback

    return params._replace(score_weight=gain * unit), of_scale


def walk(probability, before, keys):
    """Returns (weights, back) of a walk that stops at key j with p_j, zero except at `keys`.

    With q_j = (1 - p_{j-1}) q_{j-1} + a'_j and a_j = p_j q_j, from the last key to the first:

        G_j = p_j da_j + (1 - p_j) G_{j+1}      da'_j = G_j      dp_j = (da_j - G_{j+1}) q_j
    """
    stops = np.zeros(len(before), np.result_type(probability, before))
    stops[keys] = probability
    arrive, arrived = np.zeros_like(stops), 0
    for place in range(len(before)):
        arrived = arrived + before[place]
        arrive[place] = arrived
        arrived = arrived * (1 - stops[place])

    def back(d_weights):
        kind = np.result_type(stops, d_weights)
        d_all, d_stops, d_before = (np.zeros(len(before), kind) for _ in range(3))
        d_all[keys] = d_weights
        later = 0
        for place in reversed(range(len(before))):
            d_stops[place] = (d_all[place] - later) * arrive[place]
            later = stops[place] * d_all[place] + (1 - stops[place]) * later
            d_before[place] = later
        return d_stops[keys], d_before

    return stops[keys] * arrive[keys], back
