"""Sums that forget, in NumPy: the delta rule's oracle with gradients passed through the gates."""

import numpy as np

from jattn.oracle.linear.rule import delta_rule


def retention(query, key, value, decay, *, initial=None, length=None, chunk_size=None):
    """Returns ((outputs, state), pullback): the decay's gradient is the sum over the steps."""
    each = np.zeros((len(key), 1), np.result_type(key, decay)) + decay
    result, back = delta_rule(query, key, value, decay=each, initial=initial, length=length)

    def pullback(cotangents):
        d_query, d_key, d_value, d_each, *d_initial = back(cotangents)
        return d_query, d_key, d_value, d_each.sum(), *d_initial

    return result, pullback


def gated_linear_attention(query, key, value, decay, *, initial=None, length=None, chunk_size=None):
    """Returns ((outputs, state), pullback) of the delta rule without erasure."""
    return delta_rule(query, key, value, decay=decay, initial=initial, length=length)


def hgrn2(query, value, forget, *, initial=None, length=None, chunk_size=None):
    """Returns ((outputs, state), pullback): a key is 1 - f, so df = d(decay) - d(key)."""
    result, back = delta_rule(
        query, 1 - forget, value, decay=forget, initial=initial, length=length
    )

    def pullback(cotangents):
        d_query, d_key, d_value, d_decay, *d_initial = back(cotangents)
        return d_query, d_value, d_decay - d_key, *d_initial

    return result, pullback
