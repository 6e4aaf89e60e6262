"""Steps that the oracles of score-based mechanisms share: kept pairs and the weighted mean."""

import numpy as np


def kept_pairs(mask, bias, t, s):
    """Returns True for the pairs of query and key that count: allowed, without a bias of -inf."""
    kept = np.ones((t, s), bool) if mask is None else np.array(mask)
    return kept if bias is None else kept & (bias.real != -np.inf)


def attend(scores, value, kept, bias, normalizer):
    """Returns ((context, weights), pullback) for scores that are right where `kept` is True.

    With a = normalizer(e + b) and c_t = Σ a_ts v_s:

        dv_s = Σ_t a_ts dc_t      da_ts = dweights_ts + v_s · dc_t      de = db = pullback of da

    `pullback((d_context, d_weights))` returns d_scores (d_bias is the same) and d_value.
    """
    biased = np.zeros(
        scores.shape, np.result_type(scores, value, *([] if bias is None else [bias]))
    )
    biased[kept] = scores[kept] if bias is None else scores[kept] + bias[kept]
    weights, weights_pullback = normalizer(biased, kept)
    context = np.zeros((len(scores), value.shape[1]), biased.dtype)
    for row in range(len(scores)):
        context[row] = weights[row, kept[row]] @ value[kept[row]]

    def pullback(cotangent):
        d_context, d_weights = cotangent
        dtype = np.result_type(biased, d_context, d_weights)
        d_value, d_kept = np.zeros(value.shape, dtype), np.zeros(scores.shape, dtype)
        for row in range(len(scores)):
            keys = kept[row]
            d_value[keys] += np.outer(weights[row, keys], d_context[row])
            d_kept[row, keys] = d_weights[row, keys] + value[keys] @ d_context[row]
        return weights_pullback(d_kept)[0], d_value

    return (context, weights), pullback


def with_bias(gradients, bias, d_scores):
    """Returns the positional gradients, followed by d_bias if there is a bias."""
    return gradients if bias is None else (*gradients, d_scores)
