"""Linear attention in NumPy, one query at a time over all keys before it."""

import numpy as np


def linear_attention(
    query, key, value, *, initial=None, initial_key_sum=None, length=None, chunk_size=None
):
    """Returns ((outputs, state, key_sum), pullback), as `jax.vjp` does.

    A step's output is n / z, n = Sᵀ f(q) and z = u · f(q), with S and u the sums over the keys up
    to the step, and the initial ones. With g = do / z and h = -(o · do) / z

        df(q) = S g + h u    dS = f(q) gᵀ    du = h f(q)

    and each key of the sums has df(k) = dS v + du, dv = dSᵀ f(k). f' is 1 above 0, f(x) below.
    Without features z is 0, and outputs are.
    """
    steps, features = key.shape
    valid = steps if length is None else int(length)
    given = [x for x in (initial, initial_key_sum) if x is not None]
    dtype = np.result_type(query, key, value, *given)
    f = lambda x: np.where(x.real > 0, x + 1, np.exp(np.where(x.real > 0, 0, x)))
    slope = lambda x: np.where(x.real > 0, 1, np.exp(np.where(x.real > 0, 0, x)))
    of_query, of_key = f(query), f(key)
    start = np.zeros((features, value.shape[1] + 1), dtype)
    start[:, :-1] += 0 if initial is None else initial
    start[:, -1] += 0 if initial_key_sum is None else initial_key_sum
    ones = np.concatenate([value, np.ones((steps, 1))], axis=1)
    through = lambda t: start + of_key[:t].T @ ones[:t]
    outputs, totals = np.zeros(value.shape, dtype), np.ones(steps, dtype)
    for t in range(valid):
        *sums, total = of_query[t] @ through(t + 1)
        totals[t] = total if features else 1
        outputs[t] = np.array(sums, dtype) / totals[t]

    def pullback(cotangents):
        d_outputs, d_state, d_key_sum = cotangents
        d_last = np.concatenate([d_state, d_key_sum[:, None]], axis=1)
        wide = np.result_type(dtype, d_outputs, d_last)
        d_query, d_key = np.zeros(query.shape, wide), np.zeros(key.shape, wide)
        d_value, d_start = np.zeros(value.shape, wide), np.zeros(start.shape, wide)
        for t in [*range(valid), None]:
            if t is None:
                d_sums, count = d_last, valid
            else:
                share = -(outputs[t] @ d_outputs[t])
                d_both = np.append(d_outputs[t], share) / totals[t]
                d_query[t] = slope(query[t]) * (through(t + 1) @ d_both)
                d_sums, count = np.outer(of_query[t], d_both), t + 1
            d_start += d_sums
            d_key[:count] += slope(key[:count]) * (ones[:count] @ d_sums.T)
            d_value[:count] += of_key[:count] @ d_sums[:, :-1]
        starts = ((initial, d_start[:, :-1]), (initial_key_sum, d_start[:, -1]))
        return d_query, d_key, d_value, *(d for x, d in starts if x is not None)

    last = through(valid)
    return (outputs, last[:, :-1], last[:, -1]), pullback
