"""Deformable attention in NumPy, one sampled point at a time, with its gradient by hand."""

import math

import numpy as np


def deformable_attention(params, query, points, features):
    """Returns ((context, weights, places), pullback), as `jax.vjp` does.

    For one point at (a, b), with the tents φ(a - i) = max(1 - |a - i|, 0) of the rows i and those
    of the columns j, the sample is s = Σ_ij φ(a - i) φ(b - j) V x_ij, of weight w:

        dw = dweight + s · do        ds = w do        dx_ij = φ φ Vᵀ ds        dV = Σ φ φ ds x_ijᵀ
        da = Σ_ij φ'(a - i) φ(b - j) ds · V x_ij, and the offset and the reference y point share it
    """
    maps, shifts, score_maps, score_shifts, to_values, out = params
    high, wide, _ = features.shape
    count, number = shifts.shape[:2]
    dtype = np.result_type(*params, query, points, features)
    real = np.dtype(dtype).type(0).real.dtype.type
    weights = np.zeros((len(query), count, number), dtype)
    places = np.zeros((*weights.shape, 2), dtype)
    samples = np.zeros((*weights.shape, to_values.shape[1]), dtype)
    heads, near = np.zeros((len(query), *to_values.shape[:2]), dtype), {}
    for t, head in np.ndindex(len(query), count):
        scores = score_maps[head] @ query[t] + score_shifts[head]
        if number:
            powers = np.exp(scores - scores.real.max())
            weights[t, head] = powers / powers.sum()
        for m in range(number):
            offset = maps[head, m] @ query[t] + shifts[head, m]
            where = points[t] * np.array([high, wide], real) - real(0.5) + offset
            places[t, head, m] = where
            near[t, head, m] = [
                ((i, j), tent(where[0] - i), tent(where[1] - j))
                for i in neighbours(where[0], high)
                for j in neighbours(where[1], wide)
            ]
            for pixel, (down, _), (across, _) in near[t, head, m]:
                samples[t, head, m] += down * across * (to_values[head] @ features[pixel])
        heads[t, head] = weights[t, head] @ samples[t, head]
    context = np.array([np.tensordot(out, own) for own in heads], dtype).reshape(
        len(query), len(out)
    )

    def pullback(cotangent):
        d_context, d_weights, d_places = cotangent
        kind = np.result_type(dtype, *cotangent)
        d_params = type(params)(*(np.zeros(x.shape, kind) for x in params))
        d_query, d_points, d_features = (np.zeros(x.shape, kind) for x in (query, points, features))
        for t, head in np.ndindex(len(query), count):
            d_head = d_context[t] @ out[:, head]
            d_params.output_weight[:, head] += np.outer(d_context[t], heads[t, head])
            d_own = d_weights[t, head] + samples[t, head] @ d_head
            d_scores = weights[t, head] * (d_own - weights[t, head] @ d_own)
            d_params.score_weight[head] += np.outer(d_scores, query[t])
            d_params.score_bias[head] += d_scores
            d_query[t] += d_scores @ score_maps[head]
            for m in range(number):
                d_sample, d_place = weights[t, head, m] * d_head, d_places[t, head, m].astype(kind)
                for pixel, (down, d_down), (across, d_across) in near[t, head, m]:
                    along = d_sample @ (to_values[head] @ features[pixel])
                    d_place += np.array([d_down * across, down * d_across]) * along
                    d_value = down * across * d_sample
                    d_features[pixel] += d_value @ to_values[head]
                    d_params.value_weight[head] += np.outer(d_value, features[pixel])
                d_params.offset_bias[head, m] += d_place
                d_params.offset_weight[head, m] += np.outer(d_place, query[t])
                d_query[t] += d_place @ maps[head, m]
                d_points[t] += d_place * np.array([high, wide], real)
        return d_params, d_query, d_points, d_features

    return (context, weights, places), pullback


def neighbours(where, size):
    """Returns the whole numbers from 0 to size - 1 that are less than one away."""
    first = math.floor(where.real)
    return [i for i in (first, first + 1) if 0 <= i < size]


def tent(distance):
    """Returns max(1 - |x|, 0) and its derivative, for |x| at most 1."""
    sign = -1 if distance.real >= 0 else 1
    return 1 + sign * distance, sign
