"""States that replace, in NumPy: one step after the other, each an error times a key."""

import numpy as np


def delta_net(query, key, value, strength, *, initial=None, length=None, chunk_size=None):
    """Returns ((outputs, state), pullback) of `_replaced` without a decay."""
    decay = np.ones(key.shape)
    result, back = _replaced(query, key, value, strength, decay, initial, length)

    def pullback(cotangents):
        *others, _, d_initial = back(cotangents)
        return *others, *(() if initial is None else (d_initial,))

    return result, pullback


def gated_delta_net(
    query, key, value, strength, decay, *, initial=None, length=None, chunk_size=None
):
    """Returns ((outputs, state), pullback): a decay's gradient is the sum over features."""
    decays = np.repeat(decay[:, None], key.shape[1], axis=1)
    result, back = _replaced(query, key, value, strength, decays, initial, length)

    def pullback(cotangents):
        *others, d_decays, d_initial = back(cotangents)
        return *others, d_decays.sum(1), *(() if initial is None else (d_initial,))

    return result, pullback


def kimi_delta_attention(
    query, key, value, strength, decay, *, initial=None, length=None, chunk_size=None
):
    """Returns ((outputs, state), pullback) of `_replaced`."""
    result, back = _replaced(query, key, value, strength, decay, initial, length)

    def pullback(cotangents):
        *others, d_initial = back(cotangents)
        return *others, *(() if initial is None else (d_initial,))

    return result, pullback


def _replaced(query, key, value, strength, decay, initial, length):
    """Returns ((outputs, state), pullback) of S = R + β k eᵀ and o = Sᵀ q.

    R = diag(α) S₀ is the state before the step, decayed, and e = v - Rᵀ k the error at its key.
    With G the derivative with respect to S, and c = β Gᵀ k that of e:

        dv = c    dβ = k · (G e)    dk = β G e - R c    dR = G - k cᵀ
        dα = rows of dR ∘ S₀, summed    dS₀ = diag(α) dR
    """
    count = len(key) if length is None else int(length)
    arrays = (query, key, value, strength, decay)
    dtype = np.result_type(*arrays, *(() if initial is None else (initial,)))
    states = [np.zeros((key.shape[1], value.shape[1]), dtype)]
    if initial is not None:
        states[0] = states[0] + initial
    faded, errors = [], []
    for t in range(count):
        faded.append(decay[t][:, None] * states[t])
        errors.append(value[t] - key[t] @ faded[t])
        states.append(faded[t] + strength[t] * np.outer(key[t], errors[t]))
    outputs = np.zeros(value.shape, dtype)
    for t in range(count):
        outputs[t] = query[t] @ states[t + 1]

    def pullback(cotangents):
        d_outputs, total = cotangents
        wide = np.result_type(dtype, d_outputs, total)
        d_query, d_key, d_value, d_strength, d_decay = (np.zeros(x.shape, wide) for x in arrays)
        for t in reversed(range(count)):
            total = total + np.outer(query[t], d_outputs[t])
            d_query[t] = states[t + 1] @ d_outputs[t]
            d_value[t] = strength[t] * (key[t] @ total)
            towards = total @ errors[t]
            d_strength[t] = key[t] @ towards
            d_key[t] = strength[t] * towards - faded[t] @ d_value[t]
            d_faded = total - np.outer(key[t], d_value[t])
            d_decay[t] = (d_faded * states[t]).sum(1)
            total = decay[t][:, None] * d_faded
        return d_query, d_key, d_value, d_strength, d_decay, total

    return (outputs, states[-1]), pullback
