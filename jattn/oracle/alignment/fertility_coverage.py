"""Coverage with fertility in NumPy, one query at a time, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.alignment.in_order import at_keys, gradients_of, in_order
from jattn.oracle.alignment.scoring import scores_of, weights_of
from jattn.oracle.attention.attend import kept_pairs
from jattn.oracle.normalizers import softmax


def fertility_coverage(
    params,
    query,
    key,
    value,
    *,
    most=2.0,
    mask=None,
    bias=None,
    initial=None,
    normalizer=softmax,
):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    As in `coverage`, with c + a / Φ for the next sum, where Φ_s = N ς(w · k_s). So

        da_s += dc'_s / Φ_s      dlog Φ_s = -a_s dc'_s / Φ_s
        dw = Σ (1 - ς_s) dlog Φ_s k_s      dk_s += (1 - ς_s) dlog Φ_s w
    """
    kept = kept_pairs(mask, bias, len(query), len(key))
    size, unit, fertile = len(key), params.coverage_weight, params.fertility_weight
    start = np.zeros(size) if initial is None else np.where(kept.any(0), initial, 0)

    def weigh(before, row, keys):
        scores, of_scores = scores_of(params, query, key, row, keys, np.outer(before[keys], unit))
        weights, of_weights = weights_of(scores, bias, row, keys, normalizer)
        logistic = 1 / (1 + np.exp(-(key[keys] @ fertile)))
        part = weights / (most * logistic)

        def back(d_weights, d_after, gradients):
            d_part = d_after[keys]
            d_all = d_weights + d_part / (most * logistic)
            d_z = of_scores(of_weights(d_all, gradients), gradients)
            d_rate = -part * d_part * (1 - logistic)
            gradients["fertility_weight"] += d_rate @ key[keys]
            gradients["key"][keys] += np.outer(d_rate, fertile)
            gradients["coverage_weight"] += before[keys] @ d_z
            return d_after + at_keys(d_z @ unit, keys, size)

        return weights, before + at_keys(part, keys, size), back

    arrays = params._asdict() | {"query": query, "key": key, "pairs": bias}
    output, of_queries = in_order(weigh, start, value, kept, arrays)
    return output, gradients_of(of_queries, params, kept, initial)
