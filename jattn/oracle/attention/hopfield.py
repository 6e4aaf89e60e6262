"""Retrieval of a modern Hopfield network in NumPy: attention of each step by its oracle."""

import numpy as np

from jattn.oracle.attention.scaled_dot_product import scaled_dot_product_attention
from jattn.oracle.normalizers import softmax


def hopfield_attention(
    query, key, value, *, steps=1, mask=None, bias=None, scale=None, normalizer=softmax
):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    A step before the last is attention with keys for values, whose gradient for both is the keys'.
    The gradient of its context is that of the next step's query. Those of bias and scale add up.
    """
    options = {"mask": mask, "bias": bias, "scale": scale, "normalizer": normalizer}
    pullbacks, state = [], query
    for _ in range(steps - 1):
        (state, weights), of_step = scaled_dot_product_attention(state, key, key, **options)
        pullbacks.append((of_step, weights))
    output, last = scaled_dot_product_attention(state, key, value, **options)

    def pullback(cotangent):
        d_state, d_key, d_value, *d_others = last(cotangent)
        for before, weights in reversed(pullbacks):
            d_state, of_key, of_value, *others = before((d_state, np.zeros(weights.shape)))
            d_key = d_key + of_key + of_value
            d_others = [one + other for one, other in zip(d_others, others, strict=True)]
        return (d_state, d_key, d_value, *d_others)

    return output, pullback
