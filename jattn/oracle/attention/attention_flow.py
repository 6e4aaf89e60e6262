"""Bidirectional attention flow in NumPy, one pair at a time, with its gradient by hand."""

import numpy as np

from jattn.oracle.normalizers import softmax


def attention_flow(params, query, key, *, query_valid=None, key_valid=None, normalizer=softmax):
    """Returns ((context, weights, query_weights), pullback), as `jax.vjp` does.

    For a pair, e = a · h + b · u + c · (h ∘ u). With the reading r of a query h, the vector g of
    all queries and the four parts d_1 to d_4 of the cotangent of [h; r; h ∘ r; h ∘ g]:

        dr = d_2 + h ∘ d_3        dg = Σ h ∘ d_4        dh = d_1 + r ∘ d_3 + g ∘ d_4, and e's

    The maximum of a row passes its cotangent to the place where it is.
    """
    of_query, of_key, of_product = params
    rows = np.arange(len(query)) if query_valid is None else np.flatnonzero(query_valid)
    columns = np.arange(len(key)) if key_valid is None else np.flatnonzero(key_valid)
    dtype = np.result_type(*params, query, key)
    scores, kept = np.zeros((len(query), len(key)), dtype), np.zeros((len(query), len(key)), bool)
    best, place = np.zeros((1, len(query)), dtype), {}
    for t in rows:
        for s in columns:
            kept[t, s] = True
            scores[t, s] = of_query @ query[t] + of_key @ key[s] + of_product @ (query[t] * key[s])
        if len(columns):
            place[t] = max(columns, key=lambda s, t=t: scores[t, s].real)
            best[0, t] = scores[t, place[t]]
    weights, of_weights = normalizer(scores, kept)
    (query_weights,), of_best = normalizer(best, np.any(kept, axis=1, keepdims=True).T)
    used = np.zeros(query.shape, dtype)
    used[rows] = query[rows]
    read = np.zeros(query.shape, dtype)
    for t in place:
        read[t] = weights[t, columns] @ key[columns]
    back = sum((query_weights[t] * query[t] for t in place), np.zeros(len(of_query), dtype))
    context = np.concatenate([used, read, used * read, used * back], 1)

    def pullback(cotangent):
        d_context, d_weights, d_query_weights = cotangent
        kind = np.result_type(dtype, d_context, d_weights, d_query_weights)
        d_query, d_key = np.zeros(query.shape, kind), np.zeros(key.shape, kind)
        size = len(of_query)
        parts = [d_context[:, i * size : (i + 1) * size] for i in range(4)]
        d_back = sum((used[t] * parts[3][t] for t in rows), np.zeros(size, kind))
        d_rows, d_best = np.array(d_weights, kind), np.array(d_query_weights, kind)[None]
        for t in rows:
            d_query[t] = parts[0][t] + read[t] * parts[2][t] + back * parts[3][t]
            d_query[t] += query_weights[t] * d_back
            d_best[0, t] += query[t] @ d_back
            d_read = parts[1][t] + query[t] * parts[2][t]
            for s in columns:
                d_rows[t, s] += key[s] @ d_read
                d_key[s] += weights[t, s] * d_read
        (d_scores,), (d_best,) = of_weights(d_rows), of_best(d_best)
        for t, s in place.items():
            d_scores[t, s] += d_best[0, t]
        d_params = [np.zeros(size, kind) for _ in params]
        for t in rows:
            for s in columns:
                d_score = d_scores[t, s]
                d_params[0] += d_score * query[t]
                d_params[1] += d_score * key[s]
                d_params[2] += d_score * query[t] * key[s]
                d_query[t] += d_score * (of_query + of_product * key[s])
                d_key[s] += d_score * (of_key + of_product * query[t])
        return type(params)(*d_params), d_query, d_key

    return (context, weights, query_weights), pullback
