"""Monotonic attention at test time in NumPy, one query at a time."""

import numpy as np

from jattn.oracle.alignment.monotonic import in_steps


def hard_monotonic(params, query, key, value, *, mask=None, bias=None, initial=None):
    """Returns ((context, weights), pullback): `walk` with p of one or zero, without a slope."""

    def stop(energy):
        return np.where(energy.real > 0, 1.0, 0.0), np.zeros(len(energy))

    return in_steps(stop, params, query, key, value, mask, bias, initial)
