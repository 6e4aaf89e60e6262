"""Projections to heads, products of queries and keys, and the join of heads, in NumPy."""

import numpy as np

from jattn.oracle.attention.attend import attend, kept_pairs


def pairs_of_heads(mask, bias, heads, t, s):
    """Returns the kept pairs and the bias of each head, and the rows and columns that are used."""
    biases = [None if bias is None else bias if bias.ndim == 2 else bias[h] for h in range(heads)]
    kept = [kept_pairs(mask, of_head, t, s) for of_head in biases]
    used = np.asarray(kept if heads else [kept_pairs(mask, None, t, s)])
    return kept, biases, np.flatnonzero(used.any((0, 2))), np.flatnonzero(used.any((0, 1)))


def to_heads(weight, bias, inputs, used):
    """Returns (projected, pullback) of the rows in `used`; the other rows of each head are zero.

    For y_hs = W_h x_s + b_h: dW_h = Σ dy_hs x_sᵀ, db_h = Σ dy_hs, dx_s = Σ_h W_hᵀ dy_hs.
    """
    arrays = [weight, inputs] if bias is None else [weight, inputs, bias]
    dtype = np.result_type(*arrays)
    projected = np.zeros((len(weight), len(inputs), weight.shape[1]), dtype)
    for head, matrix in enumerate(weight):
        for row in used:
            projected[head, row] = matrix @ inputs[row] + (0 if bias is None else bias[head])

    def pullback(d_projected):
        kind = np.result_type(dtype, d_projected)
        d_weight, d_inputs = np.zeros(weight.shape, kind), np.zeros(inputs.shape, kind)
        d_bias = None if bias is None else np.zeros(bias.shape, kind)
        for head, matrix in enumerate(weight):
            for row in used:
                d_weight[head] += np.outer(d_projected[head, row], inputs[row])
                d_inputs[row] += matrix.T @ d_projected[head, row]
                if d_bias is not None:
                    d_bias[head] += d_projected[head, row]
        return d_weight, d_bias, d_inputs

    return projected, pullback


def products(queries, keys, factor, kept):
    """Returns (scores, pullback) of one head, with e_ts = f q_t · k_s for the kept pairs.

        dq_t = f Σ_s de_ts k_s        dk_s = f Σ_t de_ts q_t        df = Σ de_ts q_t · k_s

    A factor of None is one over the root of the number of features.
    """
    if factor is None:
        factor = 1 / np.sqrt(queries.real.dtype.type(max(queries.shape[1], 1)))
    scores = np.zeros(kept.shape, np.result_type(queries, keys, factor))
    places = list(zip(*np.nonzero(kept), strict=True))
    for t, s in places:
        scores[t, s] = factor * (keys[s] @ queries[t])

    def pullback(d_scores):
        kind = np.result_type(scores, d_scores)
        d_queries, d_keys = np.zeros(queries.shape, kind), np.zeros(keys.shape, kind)
        d_factor = np.zeros((), kind)
        for t, s in places:
            d_queries[t] += factor * d_scores[t, s] * keys[s]
            d_keys[s] += factor * d_scores[t, s] * queries[t]
            d_factor += d_scores[t, s] * (keys[s] @ queries[t])
        return d_queries, d_keys, d_factor

    return scores, pullback


def join(weight, bias, contexts, used):
    """Returns (output, pullback): y_t = Σ_h W_h c_ht + b for the rows in `used`, else zero.

    W_h is weight[:, h], so dW_h = Σ dy_t c_htᵀ, db = Σ dy_t and dc_ht = W_hᵀ dy_t.
    """
    rows = contexts.shape[1]
    arrays = [weight, contexts] if bias is None else [weight, contexts, bias]
    output = np.zeros((rows, len(weight)), np.result_type(*arrays))
    for row in used:
        output[row] = np.tensordot(weight, contexts[:, row]) if len(contexts) else 0
        output[row] += 0 if bias is None else bias

    def pullback(d_output):
        kind = np.result_type(output, d_output)
        d_weight, d_contexts = np.zeros(weight.shape, kind), np.zeros(contexts.shape, kind)
        d_bias = None if bias is None else np.zeros(bias.shape, kind)
        for row in used:
            d_contexts[:, row] = np.tensordot(d_output[row], weight, 1)
            d_weight += np.multiply.outer(d_output[row], contexts[:, row])
            if d_bias is not None:
                d_bias += d_output[row]
        return d_weight, d_bias, d_contexts

    return output, pullback


def turned(turn, heads, offset):
    """Returns (heads, pullback) after `turn` of each head, which returns (turned, pullback)."""
    if turn is None or not len(heads):
        return heads, lambda d_heads: d_heads
    positions = offset + np.arange(heads.shape[1])
    results = [turn(head, positions) for head in heads]
    outputs = np.stack([result for result, _ in results])
    return outputs, lambda d_heads: np.stack(
        [back(d_head)[0] for (_, back), d_head in zip(results, d_heads, strict=True)]
    )


def attend_in_heads(queries, keys, values, kept, biases, scale, normalizer):
    """Returns ((contexts, weights), pullback), one head after the other.

    Query head h uses the keys and values of head h // (heads / groups), whose gradient is the sum
    over its query heads. The pullback returns the gradients of queries, keys, values, scores and
    scale.
    """
    count, groups, (t, s) = len(queries), len(keys), (queries.shape[1], keys.shape[1])
    group_of = [head // (count // groups) for head in range(count)]
    results = []
    for head, group in enumerate(group_of):
        scores, of_scores = products(queries[head], keys[group], scale, kept[head])
        output, of_output = attend(scores, values[group], kept[head], biases[head], normalizer)
        results.append((*output, of_scores, of_output))
    contexts = np.asarray([each[0] for each in results]).reshape(count, t, values.shape[2])
    weights = np.asarray([each[1] for each in results]).reshape(count, t, s)

    def pullback(cotangent):
        d_contexts, d_weights = cotangent
        kind = np.result_type(queries, keys, values, d_contexts, d_weights)
        d_queries, d_keys, d_values = (np.zeros(x.shape, kind) for x in (queries, keys, values))
        d_scores, d_scale = np.zeros((count, t, s), kind), np.zeros((), kind)
        for head, group in enumerate(group_of):
            _, _, of_scores, of_output = results[head]
            d_scores[head], d_value = of_output((d_contexts[head], d_weights[head]))
            d_queries[head], d_key, d_factor = of_scores(d_scores[head])
            d_keys[group] += d_key
            d_values[group] += d_value
            d_scale += d_factor
        return d_queries, d_keys, d_values, d_scores, d_scale

    return (contexts, weights), pullback


def logistic(logits):
    """Returns σ(z) = 1 / (1 + exp(-z)), from the exponential that does not overflow."""
    signs = np.where(logits.real < 0, -1, 1)
    powers = np.exp(-signs * logits)
    return np.where(signs < 0, powers, 1) / (1 + powers)


def drawn(bias, d_scores, *others):
    """Returns the gradient of a bias that is an array, then those of other arrays.

    A bias [t s] is added to the scores of every head. The others are pairs of an option and its
    gradient.
    """
    found = [] if bias is None else [d_scores.sum(0) if bias.ndim == 2 else d_scores]
    return (*found, *(gradient for option, gradient in others if hasattr(option, "dtype")))


def of_projections(of, query, key, value, output):
    """Returns the gradient of multi-head parameters from (d_weight, d_bias, ...) of each part."""
    parts = (query, key, value, output)
    return type(of)(*(part[0] for part in parts), *(part[1] for part in parts))
