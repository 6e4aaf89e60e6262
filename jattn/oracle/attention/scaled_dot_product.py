"""Scaled dot-product attention in NumPy, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.attention.dot import dot_attention
from jattn.oracle.normalizers import softmax


def scaled_dot_product_attention(
    query, key, value, *, mask=None, bias=None, scale=None, normalizer=softmax
):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    It is dot-product attention of the queries q' = λ q, so dq = λ dq' and dλ = Σ_t q_t · dq'_t.
    λ is 1 / √k by default. If it is an array, its gradient is the last one.
    """
    factor = 1 / np.sqrt(query.real.dtype.type(max(query.shape[1], 1))) if scale is None else scale
    output, dot_pullback = dot_attention(
        query * factor, key, value, mask=mask, bias=bias, normalizer=normalizer
    )

    def pullback(cotangent):
        d_scaled, *others = dot_pullback(cotangent)
        gradients = (d_scaled * factor, *others)
        return (*gradients, (query * d_scaled).sum()) if hasattr(scale, "dtype") else gradients

    return output, pullback
