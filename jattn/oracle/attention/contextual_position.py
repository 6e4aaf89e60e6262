"""Contextual positions in NumPy, one query at a time, with their gradient derived by hand."""

import numpy as np

from jattn.oracle.attention.attend import attend, kept_pairs, with_bias
from jattn.oracle.normalizers import softmax


def contextual_position_attention(
    table, query, key, value, *, mask=None, bias=None, normalizer=softmax
):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    For one query, with z_s = q · k_s / √k, g = σ(z), the position p_s = Σ g_r over r ≥ s, and the
    table E at p between rows l and l + 1, E(p) = E_l + (p - l) (E_{l+1} - E_l), the score is
    e_s = z_s + q · E(p_s). Up to the last row,

        dp_s = de_s q · (E_{l+1} - E_l)      dg_r = Σ dp_s over s ≤ r
        dz_s = de_s + g_s (1 - g_s) dg_s     dE = Σ de_s q, shared by the two rows as E(p) is
        dq   = Σ dz_s k_s / √k + de_s E(p_s)     dk_s = dz_s q / √k

    and beyond it dp is zero.
    """
    kept = kept_pairs(mask, bias, len(query), len(key))
    last = len(table) - 1
    root = query.real.dtype.type(max(query.shape[1], 1)) ** 0.5

    def of_query(t):
        """Returns keys, gates, and for each key the row below, the share of the next, the step."""
        there = np.flatnonzero(kept[t])
        products = key[there] @ query[t] / root
        small = np.exp(np.where(products.real < 0, products, -products))
        gates = np.where(products.real < 0, small, 1) / (1 + small)
        found, counted = [], 0 * products.sum()
        for gate in gates[::-1]:
            counted = counted + gate
            row = min(int(np.floor(counted.real)), last)
            inside = row < last
            step = table[row + 1] - table[row] if inside else 0 * table[row]
            found.append((row, counted - row if inside else 0, step))
        return there, products, gates, found[::-1]

    scores = np.zeros(kept.shape, np.result_type(table, query, key))
    for t in range(len(query)):
        there, products, _, found = of_query(t)
        for s, product, (row, share, step) in zip(there, products, found, strict=True):
            scores[t, s] = product + query[t] @ (table[row] + share * step)
    output, attend_pullback = attend(scores, value, kept, bias, normalizer)

    def pullback(cotangent):
        d_scores, d_value = attend_pullback(cotangent)
        d_table, d_query, d_key = (
            np.zeros(array.shape, d_scores.dtype) for array in (table, query, key)
        )
        for t in range(len(query)):
            there, _, gates, found = of_query(t)
            d_gate = np.zeros((), d_scores.dtype)
            for s, gate, (row, share, step) in zip(there, gates, found, strict=True):
                d_score = d_scores[t, s]
                d_gate = d_gate + d_score * (query[t] @ step)
                d_product = d_score + gate * (1 - gate) * d_gate
                d_query[t] += d_product * key[s] / root + d_score * (table[row] + share * step)
                d_key[s] += d_product * query[t] / root
                d_table[row] += d_score * (1 - share) * query[t]
                if row < last:
                    d_table[row + 1] += d_score * share * query[t]
        return with_bias((d_table, d_query, d_key, d_value), bias, d_scores)

    return output, pullback
