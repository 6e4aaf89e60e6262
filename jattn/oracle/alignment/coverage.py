"""Coverage in NumPy, one query at a time, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.alignment.in_order import at_keys, gradients_of, in_order
from jattn.oracle.alignment.scoring import scores_of, weights_of
from jattn.oracle.attention.attend import kept_pairs
from jattn.oracle.normalizers import softmax


def coverage(params, query, key, value, *, mask=None, bias=None, initial=None, normalizer=softmax):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    For one query after the sum c of earlier weights, the hidden layer of additive attention has
    u c_s more, and the next sum is c + a. For a cotangent dz_s of the inputs of that layer and dc'
    of the next sum:

        du = Σ dz_s c_s      da_s += dc'_s      dc_s = dc'_s + u · dz_s
    """
    kept = kept_pairs(mask, bias, len(query), len(key))
    size, unit = len(key), params.coverage_weight
    start = np.zeros(size) if initial is None else np.where(kept.any(0), initial, 0)

    def weigh(before, row, keys):
        more = np.outer(before[keys], unit)
        scores, of_scores = scores_of(params, query, key, row, keys, more)
        weights, of_weights = weights_of(scores, bias, row, keys, normalizer)

        def back(d_weights, d_after, gradients):
            d_z = of_scores(of_weights(d_weights + d_after[keys], gradients), gradients)
            gradients["coverage_weight"] += before[keys] @ d_z
            return d_after + at_keys(d_z @ unit, keys, size)

        return weights, before + at_keys(weights, keys, size), back

    arrays = params._asdict() | {"query": query, "key": key, "pairs": bias}
    output, of_queries = in_order(weigh, start, value, kept, arrays)
    return output, gradients_of(of_queries, params, kept, initial)
