"""The lightning indexer in NumPy, one pair at a time, with its gradient derived by hand."""

import numpy as np


def indexer_scores(query, weight, key):
    """Returns (scores, pullback), as `jax.vjp` does.

    A pair's score is e = Σ_h w_h r_h with r_h = max(q_h · k, 0), so where q_h · k is positive

        dw_h = r_h de        dq_h = w_h de k        dk = Σ_h w_h de q_h
    """
    scores = np.zeros((len(query), len(key)), np.result_type(query, weight, key))
    active = []
    for t, h, s in np.ndindex(*query.shape[:2], len(key)):
        product = query[t, h] @ key[s]
        if product.real > 0:
            scores[t, s] += weight[t, h] * product
            active.append((t, h, s, product))

    def pullback(d_scores):
        kind = np.result_type(scores, d_scores)
        d_query, d_weight, d_key = (np.zeros(x.shape, kind) for x in (query, weight, key))
        for t, h, s, product in active:
            d_weight[t, h] += product * d_scores[t, s]
            d_query[t, h] += weight[t, h] * d_scores[t, s] * key[s]
            d_key[s] += weight[t, h] * d_scores[t, s] * query[t, h]
        return d_query, d_weight, d_key

    return scores, pullback


def indexer_loss(scores, weights, mask=None):
    """Returns (losses, pullback), as `jax.vjp` does.

    For one query, with the sum u_s of the weights of all heads, U = Σ u, p = u / U and
    q = softmax(e), the loss is L = Σ p (log p - log q). Its derivatives, in which Σ p = 1, are

        de_s = (q_s - p_s) dL        du_s = (log p_s - log q_s - L) dL / U

    Keys without weight add nothing to L and have no gradient of u.
    """
    losses = np.zeros(len(scores), np.result_type(scores, weights))
    rows = []
    for t, row in enumerate(scores):
        keys = [s for s, e in enumerate(row) if e.real != -np.inf and (mask is None or mask[t, s])]
        summed = sum(weights[:, t, keys]) if len(weights) else np.zeros(len(keys))
        total = np.sum(summed)
        if not keys or total == 0:
            continue
        away = row[keys] - row[keys].real.max()
        log_q = away - np.log(np.exp(away).sum())
        target = summed / total
        used = target.real > 0
        ratio = np.zeros(len(keys), losses.dtype)
        ratio[used] = np.log(target[used]) - log_q[used]
        losses[t] = target @ ratio
        rows.append((t, keys, np.exp(log_q) - target, np.where(used, ratio - losses[t], 0) / total))

    def pullback(d_losses):
        kind = np.result_type(losses, d_losses)
        d_scores, d_weights = np.zeros(scores.shape, kind), np.zeros(weights.shape, kind)
        for t, keys, of_scores, of_weights in rows:
            d_scores[t, keys] = of_scores * d_losses[t]
            d_weights[:, t, keys] = of_weights * d_losses[t]
        return d_scores, d_weights

    return losses, pullback
