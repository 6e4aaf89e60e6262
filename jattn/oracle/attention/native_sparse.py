"""Native sparse attention in NumPy, one branch and head at a time, with its gradient by hand."""

import numpy as np

from jattn.oracle.attention.attend import attend
from jattn.oracle.attention.heads import products
from jattn.oracle.normalizers import softmax
from jattn.oracle.selectors.native import blocks_by_weight, compressed_blocks, lengths
from jattn.oracle.selectors.top_k import permitted


def native_sparse_attention(
    query,
    key,
    value,
    gates,
    *,
    block_size,
    count,
    window,
    compressed_size=None,
    stride=None,
    initial=1,
    local=2,
    pooling=None,
    offset=0,
    mask=None,
):
    """Returns ((context, three weights), pullback), as `jax.vjp` does.

    The output is y = Σ_b g_b c_b over the contexts of three branches, so dg_b = c_b · dy and
    dc_b = g_b dy. A compressed key is Σ_i π_i k_i, so dk_i = π_i dk' and dπ_i = k_i · dk'. The
    choice of blocks is constant.
    """
    size, step = lengths(block_size, compressed_size, stride)
    places = np.full((2, size), 1 / size, query.real.dtype) if pooling is None else pooling
    pasts = permitted(mask, len(query), len(key), int(offset))
    starts, whole = compressed_blocks(pasts, len(key), size, step)
    pooled = [pool(places[i], rows[:, 0], starts, whole) for i, rows in enumerate((key, value))]
    (keys, of_keys), (values, of_values) = pooled
    compressed = branch(query, keys, values, whole)
    sizes = (block_size, size, step)
    importance = compressed[1].real.sum(0)
    chosen = blocks_by_weight(
        importance, pasts, len(key), sizes, count, initial, local, int(offset)
    )
    recent = np.zeros(chosen.shape, bool)
    for t, seen in enumerate(pasts):
        recent[t, [s for s in seen if s > t + int(offset) - window]] = True
    branches = [
        compressed,
        branch(query, key[:, 1], value[:, 1], chosen),
        branch(query, key[:, 2], value[:, 2], recent),
    ]
    context = np.sum([gates[:, :, b, None] * each[0] for b, each in enumerate(branches)], axis=0)
    context[[t for t, seen in enumerate(pasts) if not seen]] = 0

    def pullback(cotangent):
        d_context, *d_weights = cotangent
        kind = np.result_type(context, d_context)
        d_query, d_key, d_value, d_gates = (
            np.zeros(x.shape, kind) for x in (query, key, value, gates)
        )
        d_places = np.zeros(places.shape, kind)
        for b, (contexts, _, back) in enumerate(branches):
            d_gates[:, :, b] = (contexts * d_context).sum(2)
            found = back(gates[:, :, b, None] * d_context, d_weights[b])
            d_query += found[0]
            if b:
                d_key[:, b], d_value[:, b] = found[1:]
            else:
                d_places[0], d_key[:, 0] = of_keys(found[1])
                d_places[1], d_value[:, 0] = of_values(found[2])
        return d_query, d_key, d_value, d_gates, *([] if pooling is None else [d_places])

    return (context, *(each[1] for each in branches)), pullback


def branch(query, keys, values, kept):
    """Returns contexts [t h v], weights [h t s] and a pullback of attention of all heads."""
    heads = query.shape[1]
    contexts = np.zeros((len(query), heads, values.shape[1]), np.result_type(query, keys, values))
    weights, backs = np.zeros((heads, *kept.shape), contexts.dtype), []
    for head in range(heads):
        scores, of_scores = products(query[:, head], keys, None, kept)
        (contexts[:, head], weights[head]), of_output = attend(scores, values, kept, None, softmax)
        backs.append((of_scores, of_output))

    def pullback(d_contexts, d_weights):
        kind = np.result_type(contexts, d_contexts, d_weights)
        d_query, d_keys, d_values = (np.zeros(x.shape, kind) for x in (query, keys, values))
        for head, (of_scores, of_output) in enumerate(backs):
            d_scores, d_value = of_output((d_contexts[:, head], d_weights[head]))
            d_query[:, head], d_key, _ = of_scores(d_scores)
            d_keys += d_key
            d_values += d_value
        return d_query, d_keys, d_values

    return contexts, weights, pullback


def pool(places, rows, starts, whole):
    """Returns (weighted sums of the rows of each block that some query sees, pullback)."""
    pooled = np.zeros((len(starts), rows.shape[1]), np.result_type(places, rows))
    used = [(c, i) for c in np.flatnonzero(whole.any(0)) for i in range(len(places))]
    for c, i in used:
        pooled[c] += places[i] * rows[starts[c] + i]

    def pullback(d_pooled):
        kind = np.result_type(pooled, d_pooled)
        d_places, d_rows = np.zeros(places.shape, kind), np.zeros(rows.shape, kind)
        for c, i in used:
            d_places[i] += rows[starts[c] + i] @ d_pooled[c]
            d_rows[starts[c] + i] += places[i] * d_pooled[c]
        return d_places, d_rows

    return pooled, pullback
