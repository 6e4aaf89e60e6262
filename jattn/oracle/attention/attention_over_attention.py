"""Attention over attention in NumPy, one key at a time, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.normalizers import softmax


def attention_over_attention(query, key, *, query_valid=None, key_valid=None, normalizer=softmax):
    """Returns ((weights, query_weights, rows), pullback), as `jax.vjp` does.

    With the rows α and the columns β of the weights, b_t = Σ_s β_ts / n and w_s = Σ_t b_t α_ts:

        db_t = dquery_weights_t + Σ_s dw_s α_ts        dα_ts = drows_ts + b_t dw_s
        dβ_ts = db_t / n                               de adds both pullbacks
        dq_t = Σ_s de_ts k_s                           dk_s = Σ_t de_ts q_t
    """
    rows = np.arange(len(query)) if query_valid is None else np.flatnonzero(query_valid)
    columns = np.arange(len(key)) if key_valid is None else np.flatnonzero(key_valid)
    inner = query[rows] @ key[columns].T
    every = np.ones(inner.shape, bool)
    alpha, of_alpha = normalizer(inner, every)
    beta, of_beta = normalizer(inner.T, every.T)
    average = beta.sum(0) / max(len(columns), 1)
    found = [np.zeros(n, inner.dtype) for n in (len(key), len(query), (len(query), len(key)))]
    found[0][columns], found[1][rows] = average @ alpha, average
    found[2][np.ix_(rows, columns)] = alpha

    def pullback(cotangent):
        d_weights, d_query_weights, d_rows = cotangent
        kind = np.result_type(inner, *cotangent)
        d_query, d_key = np.zeros(query.shape, kind), np.zeros(key.shape, kind)
        d_average = d_query_weights[rows] + alpha @ d_weights[columns]
        d_alpha = d_rows[np.ix_(rows, columns)] + np.outer(average, d_weights[columns])
        d_beta = np.tile(d_average / max(len(columns), 1), (len(columns), 1))
        d_inner = of_alpha(d_alpha)[0] + of_beta(d_beta)[0].T
        d_query[rows], d_key[columns] = d_inner @ key[columns], d_inner.T @ query[rows]
        return d_query, d_key

    return tuple(found), pullback
