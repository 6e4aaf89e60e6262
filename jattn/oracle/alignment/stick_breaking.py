"""Stick-breaking in NumPy, one row at a time, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.normalizers.by_row import by_row


@by_row
def stick_breaking(scores):
    """Returns (weights, pullback) of one row.

    With b = σ(z) and the stick r_s that is left before key s, from the last key to the first:

        a_s = b_s r_s      r_{s-1} = (1 - b_s) r_s
        db_s = (da_s - dr_{s-1}) r_s      dr_s = b_s da_s + (1 - b_s) dr_{s-1}

    and dz = b (1 - b) db, so the gradient goes from the first key to the last.
    """
    below = scores.real < 0
    small = np.exp(np.where(below, scores, -scores))
    share, rest = (np.where(which, small, 1) / (1 + small) for which in (below, ~below))
    stick, left = np.ones_like(scores), 1
    for place in reversed(range(len(scores))):
        stick[place] = left
        left = left * rest[place]

    def pullback(d_weights):
        d_scores = np.zeros(len(scores), np.result_type(scores, d_weights))
        d_stick = 0
        for place in range(len(scores)):
            d_share = (d_weights[place] - d_stick) * stick[place]
            d_scores[place] = d_share * share[place] * rest[place]
            d_stick = share[place] * d_weights[place] + rest[place] * d_stick
        return d_scores

    return share * stick, pullback
