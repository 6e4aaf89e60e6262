"""Forward attention in NumPy, one query at a time, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.alignment.in_order import at_keys, gradients_of, in_order
from jattn.oracle.alignment.scoring import scores_of
from jattn.oracle.attention.attend import kept_pairs


def forward(params, query, key, value, *, mask=None, bias=None, initial=None, transition=None):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    For one query after weights a', with r_s = (1 - u) a'_s + u a'_{s-1}, y_s = exp(e_s) and
    a_s = r_s y_s / Z, Z = Σ r y, for a cotangent g of a and m = Σ a g:

        de_s = a_s (g_s - m)      dr_s = (g_s - m) y_s / Z
        da'_s = (1 - u) dr_s + u dr_{s+1}      du = Σ (a'_{s-1} - a'_s) dr_s

    and dx = u (1 - u) du for the logit x of u.
    """
    kept = kept_pairs(mask, bias, len(query), len(key))
    start = np.eye(1, len(key))[0]
    if initial is not None:
        start = np.where(kept.any(0), initial, 0)

    def weigh(before, row, keys):
        logit = 0.0 if transition is None else transition[row]
        go_on = 1 / (1 + np.exp(-logit))
        scores, of_scores = scores_of(params, query, key, row, keys)
        scores = scores if bias is None else scores + bias[row, keys]
        behind = np.concatenate([np.zeros(1, before.dtype), before])[keys]
        reach = (1 - go_on) * before[keys] + go_on * behind
        near = reach.real != 0
        if not near.any():
            nothing = np.zeros(len(keys), reach.dtype)
            return nothing, before, lambda d_weights, d_after, gradients: d_after
        rated = np.zeros(len(keys), np.result_type(scores, reach))
        rated[near] = np.exp(scores[near] - scores[near].real.max())
        total = reach @ rated
        weights = reach * rated / total

        def back(d_weights, d_after, gradients):
            d_all = d_weights + d_after[keys]
            less = d_all - weights @ d_all
            of_scores(weights * less, gradients)
            if bias is not None:
                gradients["pairs"][row, keys] += weights * less
            d_reach = less * rated / total
            if transition is not None:
                d_go_on = (behind - before[keys]) @ d_reach
                gradients["transition"][row] += d_go_on * go_on * (1 - go_on)
            d_before = at_keys((1 - go_on) * d_reach, keys, len(key) + 1)
            for place, gradient in zip(keys, go_on * d_reach, strict=True):
                d_before[place - 1] += gradient
            return d_before[:-1]

        return weights, at_keys(weights, keys, len(key)), back

    arrays = params._asdict() | {"query": query, "key": key, "pairs": bias}
    arrays["transition"] = transition
    output, of_queries = in_order(weigh, start, value, kept, arrays)
    return output, gradients_of(of_queries, params, kept, initial, ("transition",))
