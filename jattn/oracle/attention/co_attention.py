"""Parallel co-attention in NumPy, one pair at a time, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.normalizers import softmax


def parallel_co_attention(
    params, query, key, *, query_valid=None, key_valid=None, normalizer=softmax
):
    """Returns ((query_context, key_context, query_weights, key_weights, affinity), pullback).

    For a pair with a = W_q q, b = W_k k and the affinity c = tanh(q · B k), a hidden layer of the
    queries is tanh(z) with z = a + Σ_s c b. With dz of a query and dy of a key:

        da = dz + Σ_s c dy        db = dy + Σ_t c dz        dc = daffinity + dz · b + dy · a
        dB = Σ dc (1 - c²) q kᵀ   dq = W_qᵀ da + Σ dc (1 - c²) B k, and dk likewise
    """
    matrix, of_query, of_key, query_units, key_units = params
    rows = np.arange(len(query)) if query_valid is None else np.flatnonzero(query_valid)
    columns = np.arange(len(key)) if key_valid is None else np.flatnonzero(key_valid)
    dtype = np.result_type(*params, query, key)
    affinity = np.zeros((len(query), len(key)), dtype)
    ours, theirs = (np.zeros((n, len(query_units)), dtype) for n in (len(query), len(key)))
    for t in rows:
        ours[t] = of_query @ query[t]
        for s in columns:
            affinity[t, s] = np.tanh(query[t] @ (matrix @ key[s]))
    for s in columns:
        theirs[s] = of_key @ key[s]
    layers = np.tanh(ours + affinity @ theirs), np.tanh(theirs + affinity.T @ ours)
    sequences = (query, rows, query_units, layers[0]), (key, columns, key_units, layers[1])
    weights, contexts, backs = [], [], []
    for inputs, used, units, layer in sequences:
        scores = (layer @ units)[None]
        kept = np.isin(np.arange(len(inputs)), used)[None]
        found, back = normalizer(np.where(kept, scores, 0), kept)
        weights.append(found[0])
        contexts.append(np.asarray(found[0, used] @ inputs[used], dtype))
        backs.append(back)

    def pullback(cotangent):
        d_contexts, d_weights, d_affinity = cotangent[:2], cotangent[2:4], cotangent[4]
        kind = np.result_type(dtype, *cotangent)
        d_inputs, d_units, d_inner = [], [], []
        for place, (inputs, used, units, layer) in enumerate(sequences):
            d_input, d_own = np.zeros(inputs.shape, kind), np.zeros(len(inputs), kind)
            for member in used:
                d_own[member] = d_weights[place][member] + inputs[member] @ d_contexts[place]
                d_input[member] = weights[place][member] * d_contexts[place]
            d_scores = backs[place](d_own[None])[0][0]
            d_units.append(d_scores @ layer)
            d_inner.append(np.outer(d_scores, units) * (1 - layer**2))
            d_inputs.append(d_input)
        (d_query, d_key), (for_query, for_key) = d_inputs, d_inner
        d_ours, d_theirs = for_query + affinity @ for_key, for_key + affinity.T @ for_query
        d_matrix, d_of_query, d_of_key = (np.zeros(x.shape, kind) for x in params[:3])
        for t in rows:
            d_of_query += np.outer(d_ours[t], query[t])
            d_query[t] += of_query.T @ d_ours[t]
            for s in columns:
                d_pair = d_affinity[t, s] + for_query[t] @ theirs[s] + for_key[s] @ ours[t]
                d_pair = d_pair * (1 - affinity[t, s] ** 2)
                d_matrix += d_pair * np.outer(query[t], key[s])
                d_query[t] += d_pair * (matrix @ key[s])
                d_key[s] += d_pair * (query[t] @ matrix)
        for s in columns:
            d_of_key += np.outer(d_theirs[s], key[s])
            d_key[s] += of_key.T @ d_theirs[s]
        return type(params)(d_matrix, d_of_query, d_of_key, *d_units), d_query, d_key

    return (*contexts, *weights, affinity), pullback
