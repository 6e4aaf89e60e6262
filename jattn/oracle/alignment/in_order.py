"""Queries in order in NumPy, with gradients in reverse, as in back-propagation through time."""

import numpy as np


def in_order(weigh, state, value, kept, arrays):
    """Returns ((context, weights), pullback) of queries that pass a state to each other.

    A query without a key is left out: it has weights of zero and passes the state on.

    From the last query to the first, with a the weights of query t and c = Σ_s a_s v_s:

        da = dweights_t + V dc_t      dv_s += a_s dc_t      dstate ← pullback of (da, dstate)

    Args:
        weigh: `weigh(state, row, keys)` returns the weights of these keys, the next state and
            `back(d_weights, d_state, gradients)`, which returns the gradient of the state before
            and adds to the gradients of the arrays.
        state: before the first query.
        value: a row for each key.
        kept: True for each pair of query and key that counts.
        arrays: a dict of further arrays that the weights depend on; None is left out.

    `pullback((d_context, d_weights))` returns d_value, the gradient of the first state, and a dict
    of the gradients of `arrays`.
    """
    given = {name: array for name, array in arrays.items() if array is not None}
    dtype = np.result_type(state, value, *given.values())
    weights, context = np.zeros(kept.shape, dtype), np.zeros((len(kept), value.shape[1]), dtype)
    backs = {}
    for row in range(len(kept)):
        keys = np.flatnonzero(kept[row])
        if keys.size:
            weights[row, keys], state, backs[row] = weigh(state, row, keys)
            context[row] = weights[row, keys] @ value[keys]

    def pullback(cotangent):
        d_context, d_weights = cotangent
        kind = np.result_type(dtype, d_context, d_weights)
        gradients = {name: np.zeros(np.shape(array), kind) for name, array in given.items()}
        d_value, d_state = np.zeros(value.shape, kind), np.zeros(np.shape(state), kind)
        for row in reversed(backs):
            keys = np.flatnonzero(kept[row])
            d_value[keys] += np.outer(weights[row, keys], d_context[row])
            d_row = d_weights[row, keys] + value[keys] @ d_context[row]
            d_state = backs[row](d_row, d_state, gradients)
        return d_value, d_state, gradients

    return (context, weights), pullback


def at_keys(values, keys, size):
    """Returns a vector of `size` with `values` at `keys` and zero elsewhere."""
    vector = np.zeros(size, values.dtype)
    vector[keys] = values
    return vector


def gradients_of(of_queries, params, kept, initial, keywords=()):
    """Returns the pullback to parameters, query, key, value, and the bias and initial state given.

    A number of the initial state that belongs to a key which no query reads has no gradient. The
    gradients of further `keywords`, of those given, come last.
    """

    def pullback(cotangent):
        d_value, d_start, gradients = of_queries(cotangent)
        d_params = type(params)(*(gradients.get(name) for name in params._fields))
        found = [d_params, gradients["query"], gradients["key"], d_value]
        if "pairs" in gradients:
            found.append(gradients["pairs"])
        if initial is not None:
            found.append(np.where(kept.any(0), d_start, 0))
        return *found, *(gradients[name] for name in keywords if name in gradients)

    return pullback
