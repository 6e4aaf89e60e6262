"""The generalized delta rule in NumPy, one step at a time."""

import numpy as np


def delta_rule(
    query,
    key,
    value,
    *,
    decay=None,
    erase=None,
    write=None,
    initial=None,
    length=None,
    chunk_size=None,
):
    """Returns the outputs and the last state of S ← (D - a bᵀ) S + k vᵀ, o = Sᵀ q.

    Let G be the derivative with respect to S after a step: that of the later steps, and q doᵀ of
    the step's own output. Then dq = S do, dk = G v, dv = Gᵀ k, and of the state before the step S₀

        dD = the diagonal of G S₀ᵀ,  da = -G (S₀ᵀ b),  db = -S₀ (Gᵀ a),  dS₀ = (D - b aᵀ) G.

    A decay for all features has the sum of the diagonal. The size of a chunk changes nothing.
    """
    steps, features = key.shape
    valid = steps if length is None else int(length)
    arrays = (query, key, value, decay, erase, write, initial)
    dtype = np.result_type(*[array for array in arrays if array is not None])
    state = np.zeros((features, value.shape[1]), dtype)
    if initial is not None:
        state = state + initial
    outputs = np.zeros((steps, value.shape[1]), dtype)
    before = []
    for step in range(valid):
        before.append(state)
        kept = state if decay is None else np.broadcast_to(decay[step], features)[:, None] * state
        if erase is not None and write is not None:
            kept = kept - np.outer(erase[step], write[step] @ state)
        state = kept + np.outer(key[step], value[step])
        outputs[step] = query[step] @ state
    after = [*before[1:], state]

    def pullback(cotangents):
        d_outputs, d_state = cotangents
        wide = np.result_type(dtype, d_outputs, d_state)
        d_query, d_key, d_value = (np.zeros(x.shape, wide) for x in (query, key, value))
        gates = {
            name: np.zeros(x.shape, wide)
            for name, x in (("decay", decay), ("erase", erase), ("write", write))
            if x is not None
        }
        total = np.zeros(state.shape, wide) + d_state
        for step in reversed(range(valid)):
            total = total + np.outer(query[step], d_outputs[step])
            d_query[step] = after[step] @ d_outputs[step]
            d_key[step] = total @ value[step]
            d_value[step] = key[step] @ total
            earlier = total
            if decay is not None:
                diagonal = (total * before[step]).sum(1)
                gates["decay"][step] = diagonal if decay.shape[1] == features else diagonal.sum()
                earlier = np.broadcast_to(decay[step], features)[:, None] * total
            if erase is not None and write is not None:
                gates["erase"][step] = -total @ (write[step] @ before[step])
                gates["write"][step] = -before[step] @ (erase[step] @ total)
                earlier = earlier - np.outer(write[step], erase[step] @ total)
            total = earlier
        start = () if initial is None else (total,)
        return d_query, d_key, d_value, *gates.values(), *start

    return (outputs, state), pullback
