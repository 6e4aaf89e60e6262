"""Multi-head latent attention in NumPy, one head at a time, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.attention import heads
from jattn.oracle.normalizers import softmax


def latent_attention(
    params,
    query,
    key,
    *,
    mask=None,
    bias=None,
    scale=None,
    turn=None,
    query_offset=0,
    normalizer=softmax,
):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    The latents c = D x and k = E y and the rotated features R y are maps of single vectors, and
    each head attends with [U c; turned V c] to [A k; turned R y] and reads B k, so gradients add:

        dk = Σ_h A_hᵀ dA_hk + B_hᵀ dB_hk        dy = Eᵀ dk + Rᵀ Σ_h dR_h        dx = Dᵀ dc
    """
    sizes = len(params.query_up), len(query), len(key)
    _, _, _, columns = heads.pairs_of_heads(mask, bias, *sizes)
    (latent,), of_latent = heads.to_heads(params.key_down[None], None, key, columns)
    features, of_features = heads.to_heads(params.key_rotary[None], None, key, columns)
    turned, unturn = heads.turned(turn, features, 0)
    options = {"mask": mask, "bias": bias, "scale": scale, "normalizer": normalizer}
    options |= {"turn": turn, "query_offset": query_offset}
    output, of_memory = absorbed_latent_attention(params, query, latent, turned[0], **options)

    def pullback(cotangent):
        d_params, d_query, d_latent, d_rotary, *others = of_memory(cotangent)
        d_key_down, _, d_key = of_latent(d_latent[None])
        d_key_rotary, _, d_key_of_features = of_features(unturn(d_rotary[None]))
        d_params = d_params._replace(key_down=d_key_down[0], key_rotary=d_key_rotary[0])
        return (d_params, d_query, d_key + d_key_of_features, *others)

    return output, pullback


def absorbed_latent_attention(
    params,
    query,
    latent,
    rotary,
    *,
    mask=None,
    bias=None,
    scale=None,
    turn=None,
    query_offset=0,
    normalizer=softmax,
):
    """Returns ((context, weights), pullback), as `jax.vjp` does, from the keys of every head.

    A head's query is [U c; turned V c] and its key [A k; r], whose parts are cut apart again on the
    way back. The gradients of r add up over the heads.
    """
    count, plain, _ = params.query_up.shape
    sizes = count, len(query), len(latent)
    kept, biases, rows, columns = heads.pairs_of_heads(mask, bias, *sizes)
    (small,), of_small = heads.to_heads(params.query_down[None], None, query, rows)
    first, of_first = heads.to_heads(params.query_up, None, small, rows)
    second, of_second = heads.to_heads(params.query_rotary, None, small, rows)
    second, unturn = heads.turned(turn, second, query_offset)
    queries = np.concatenate([first, second], 2)
    own, of_own = heads.to_heads(params.key_up, None, latent, columns)
    shared = np.zeros((count, *rotary.shape), rotary.dtype)
    shared[:, columns] = rotary[columns]
    keys = np.concatenate([own, shared], 2)
    values, of_values = heads.to_heads(params.value_up, None, latent, columns)
    (contexts, weights), of_heads = heads.attend_in_heads(
        queries, keys, values, kept, biases, scale, normalizer
    )
    output, of_join = heads.join(params.output_weight, None, contexts, rows)

    def pullback(cotangent):
        d_output_weight, _, d_contexts = of_join(cotangent[0])
        d_queries, d_keys, d_values, d_scores, d_scale = of_heads((d_contexts, cotangent[1]))
        d_query_up, _, d_small = of_first(d_queries[:, :, :plain])
        d_query_rotary, _, d_more = of_second(unturn(d_queries[:, :, plain:]))
        d_query_down, _, d_query = of_small((d_small + d_more)[None])
        d_key_up, _, d_own = of_own(d_keys[:, :, :plain])
        d_value_up, _, d_read = of_values(d_values)
        zeros = (np.zeros(x.shape, d_keys.dtype) for x in (params.key_down, params.key_rotary))
        d_key_down, d_key_rotary = zeros
        of_queries = (d_query_down[0], d_query_up, d_query_rotary)
        of_keys = (d_key_down, d_key_up, d_key_rotary)
        d_params = type(params)(*of_queries, *of_keys, d_value_up, d_output_weight)
        options = heads.drawn(bias, d_scores, (scale, d_scale))
        return (d_params, d_query, d_own + d_read, d_keys[:, :, plain:].sum(0), *options)

    return (output, weights), pullback
