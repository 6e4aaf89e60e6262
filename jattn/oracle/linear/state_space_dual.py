"""The state-space dual in NumPy: the delta rule's oracle, its gradient passed to Δ and A."""

import numpy as np

from jattn.oracle.linear.rule import delta_rule


def state_space_dual(query, key, value, step, rate, *, initial=None, length=None, chunk_size=None):
    """Returns ((outputs, state), pullback).

    With a = exp(-Δ r) and the key Δ k: dΔ = k · d(key) - r a da, dk = Δ d(key), dr = -Σ Δ a da.
    """
    faded = np.exp(-rate * step)
    result, back = delta_rule(
        query, key * step[:, None], value, decay=faded[:, None], initial=initial, length=length
    )

    def pullback(cotangents):
        d_query, d_scaled, d_value, d_faded, *d_initial = back(cotangents)
        d_log = d_faded[:, 0] * faded
        d_step = (key * d_scaled).sum(1) - rate * d_log
        return d_query, d_scaled * step[:, None], d_value, d_step, -step @ d_log, *d_initial

    return result, pullback
