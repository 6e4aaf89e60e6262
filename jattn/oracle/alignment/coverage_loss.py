"""Coverage loss in NumPy, one query at a time, with its gradient derived by hand."""

import numpy as np


def coverage_loss(weights, *, initial=None):
    """Returns (losses, pullback), as `jax.vjp` does.

    The loss of query t counts a_ts where it is less than the sum c_ts before it, else c_ts. So from
    the last query to the first, with g = dc of the queries after t:

        da_ts = g_s + dloss_t [a_ts < c_ts]      g_s += dloss_t [a_ts ≥ c_ts]      dinitial = g
    """
    total = np.zeros(weights.shape[1]) if initial is None else initial
    losses, sums = np.zeros(len(weights), np.result_type(weights, total)), []
    for row, given in enumerate(weights):
        sums.append(total)
        for attended, covered in zip(given, total, strict=True):
            losses[row] += attended if attended.real < covered.real else covered
        total = total + given

    def pullback(d_losses):
        kind = np.result_type(losses, d_losses)
        d_weights, d_sum = np.zeros(weights.shape, kind), np.zeros(weights.shape[1], kind)
        for row in reversed(range(len(weights))):
            less = weights[row].real < sums[row].real
            d_weights[row] = d_sum + np.where(less, d_losses[row], 0)
            d_sum = d_sum + np.where(less, 0, d_losses[row])
        return (d_weights,) if initial is None else (d_weights, d_sum)

    return losses, pullback
