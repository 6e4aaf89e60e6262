"""Location-aware attention in NumPy, one query at a time, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.alignment.in_order import at_keys, gradients_of, in_order
from jattn.oracle.alignment.scoring import scores_of, weights_of
from jattn.oracle.attention.attend import kept_pairs
from jattn.oracle.normalizers import softmax


def location_aware(
    params, query, key, value, *, mask=None, bias=None, initial=None, normalizer=softmax
):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    For one query after weights a', the hidden layer of additive attention has U f_s more, with the
    features f_s = Σ_l F_l a'_{s+l-c}. For a cotangent dz_s of the inputs of that layer:

        df_s = Uᵀ dz_s      dU = Σ dz_s f_sᵀ      dF_l = Σ_s df_s a'_{s+l-c}
        da'_{s+l-c} += F_l · df_s

    and the cotangent of the weights is theirs plus that of the next state.
    """
    kept = kept_pairs(mask, bias, len(query), len(key))
    filters, mixing = params.filter, params.location_weight
    size, centre = len(key), params.filter.shape[1] // 2
    start = np.zeros(size) if initial is None else np.where(kept.any(0), initial, 0)

    def sources(place):
        """Yields each tap that meets a weight, and the place of this weight."""
        for tap in range(filters.shape[1]):
            if 0 <= place + tap - centre < size:
                yield tap, place + tap - centre

    def weigh(before, row, keys):
        features = np.zeros((len(keys), len(filters)), np.result_type(filters, before))
        for index, place in enumerate(keys):
            for tap, source in sources(place):
                features[index] += filters[:, tap] * before[source]
        scores, of_scores = scores_of(params, query, key, row, keys, features @ mixing.T)
        weights, of_weights = weights_of(scores, bias, row, keys, normalizer)

        def back(d_weights, d_after, gradients):
            d_z = of_scores(of_weights(d_weights + d_after[keys], gradients), gradients)
            gradients["location_weight"] += d_z.T @ features
            d_features, d_before = d_z @ mixing, np.zeros(size, d_z.dtype)
            for index, place in enumerate(keys):
                for tap, source in sources(place):
                    gradients["filter"][:, tap] += d_features[index] * before[source]
                    d_before[source] += filters[:, tap] @ d_features[index]
            return d_before

        return weights, at_keys(weights, keys, size), back

    arrays = params._asdict() | {"query": query, "key": key, "pairs": bias}
    output, of_queries = in_order(weigh, start, value, kept, arrays)
    return output, gradients_of(of_queries, params, kept, initial)
