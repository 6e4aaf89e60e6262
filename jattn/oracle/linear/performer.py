"""Attention with positive random features in NumPy: its maxima and features step by step."""

import numpy as np

from jattn.oracle.linear.mlstm import of_starts, with_ones
from jattn.oracle.linear.rule import delta_rule


def performer(
    directions,
    query,
    key,
    value,
    *,
    initial=None,
    initial_key_sum=None,
    initial_maximum=None,
    length=None,
    chunk_size=None,
):
    """Returns ((outputs, state, key_sum, maximum), pullback), as `jax.vjp` does.

    Of a feature p = e^(ω · x̂ - |x̂|² / 2 - m), with a constant m and x̂ = x / k^(1/4):

        dω = Σ p dp x̂        dx = Σ p dp (ω - x̂) / k^(1/4)

    An output is o = s / z, so ds = do / z and dz = -(o · do) / z. Starts are those of `mlstm`.
    """
    count, size = directions.shape
    steps = len(key)
    valid = steps if length is None else int(length)
    root = max(size, 1) ** -0.25
    kind = np.result_type(directions, query, key, value)

    def logarithms(x):
        rows = np.zeros((steps, count), np.result_type(directions, x))
        for step in range(valid):
            scaled = x[step] * root
            rows[step] = directions @ scaled - scaled @ scaled / 2
        return rows - np.log(max(count, 1)) / 2

    of_query, of_key = logarithms(query), logarithms(key)
    largest = of_key.real.max(1, initial=-1e30)
    first = largest[0] if steps else 0.0
    given = first if initial_maximum is None else initial_maximum
    maxima = np.maximum.accumulate([np.real(given), *largest[:valid]])
    query_features, key_features = np.zeros((2, steps, count), kind)
    for step in range(valid):
        top = of_query[step].real.max(initial=-1e30)
        query_features[step] = np.exp(of_query[step] - top)
        key_features[step] = np.exp(of_key[step] - maxima[step + 1])
    decay = np.ones((steps, 1))
    decay[:valid, 0] = np.exp(maxima[:-1] - maxima[1:])
    start = with_ones(initial, initial_key_sum, count, value.shape[1])
    shrink = np.exp(given - np.real(given))
    (found, last), back = delta_rule(
        query_features,
        key_features,
        np.concatenate([value, np.ones((steps, 1))], 1),
        decay=decay,
        initial=shrink * start,
        length=valid,
    )
    totals = np.where(found[:, -1] == 0, 1, found[:, -1])
    outputs = found[:, :-1] / totals[:, None]

    def pullback(cotangents):
        d_outputs, d_state, d_key_sum, _ = cotangents
        d_total = -(outputs * d_outputs).sum(1)
        d_found = np.concatenate([d_outputs, d_total[:, None]], 1) / totals[:, None]
        d_last = np.concatenate([d_state, d_key_sum[:, None]], 1)
        d_query_features, d_key_features, d_values, _, d_start = back((d_found, d_last))
        d_directions = np.zeros(directions.shape, d_found.dtype)
        d_sides = []
        for x, features, d_features in (
            (query, query_features, d_query_features),
            (key, key_features, d_key_features),
        ):
            d_x = np.zeros(x.shape, d_found.dtype)
            for step in range(valid):
                d_logs, scaled = features[step] * d_features[step], x[step] * root
                d_directions += np.outer(d_logs, scaled)
                d_x[step] = root * (d_logs @ (directions - scaled))
            d_sides.append(d_x)
        gradients = (d_directions, *d_sides, d_values[:, :-1])
        return (
            *gradients,
            *of_starts(d_start, shrink, start, initial, initial_key_sum, initial_maximum),
        )

    return (outputs, last[:, :-1], last[:, -1], np.asarray(maxima[-1], found.dtype)), pullback
