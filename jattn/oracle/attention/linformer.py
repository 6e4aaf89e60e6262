"""Linformer in NumPy, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.attention.scaled_dot_product import scaled_dot_product_attention
from jattn.oracle.normalizers import softmax


def linformer_attention(
    query,
    key,
    value,
    projection,
    *,
    value_projection=None,
    valid=None,
    scale=None,
    normalizer=softmax,
):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    It is attention to the keys K' = Σ_s E_s k_sᵀ and values V' = Σ_s F_s v_sᵀ, so
    dk_s = dK'ᵀ E_s and dE_s = dK' k_s, and the same for values and F. Shared projections have the
    sum of both.
    """
    used = range(len(key)) if valid is None else np.flatnonzero(valid)
    other = projection if value_projection is None else value_projection
    keys, of_keys = projected(projection, key, used)
    values, of_values = projected(other, value, used)
    output, of_attention = scaled_dot_product_attention(
        query, keys, values, scale=scale, normalizer=normalizer
    )

    def pullback(cotangent):
        d_query, d_keys, d_values, *d_scale = of_attention(cotangent)
        d_projection, d_key = of_keys(d_keys)
        d_other, d_value = of_values(d_values)
        if value_projection is None:
            return d_query, d_key, d_value, d_projection + d_other, *d_scale
        return d_query, d_key, d_value, d_projection, d_other, *d_scale

    return output, pullback


def projected(matrix, rows, used):
    """Returns (projected rows, pullback) of a sum over the rows in `used`."""
    result = np.zeros((len(matrix), rows.shape[1]), np.result_type(matrix, rows))
    for s in used:
        result += np.outer(matrix[:, s], rows[s])

    def pullback(d_result):
        kind = np.result_type(result, d_result)
        d_matrix, d_rows = np.zeros(matrix.shape, kind), np.zeros(rows.shape, kind)
        for s in used:
            d_matrix[:, s] = d_result @ rows[s]
            d_rows[s] = matrix[:, s] @ d_result
        return d_matrix, d_rows

    return result, pullback
