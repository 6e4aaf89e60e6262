"""Non-local blocks in NumPy, with the gradient derived by hand."""

import numpy as np

from jattn.oracle.attention.dot import dot_attention
from jattn.oracle.normalizers import softmax


def non_local_block(params, features, *, normalizer=softmax):
    """Returns ((features, weights), pullback), as `jax.vjp` does.

    The block reads its input four times, so with y = x + W r and the reading r of Q x, K x, V x:

        dW = Σ dy rᵀ        dr = Wᵀ dy        dx = dy + Qᵀ d(Q x) + Kᵀ d(K x) + Vᵀ d(V x)
    """
    *maps, back = params
    flat = features.reshape(int(np.prod(features.shape[:2])), features.shape[2])
    (read, weights), of_attention = dot_attention(
        *(np.array([each @ row for row in flat]).reshape(len(flat), len(each)) for each in maps),
        normalizer=normalizer,
    )
    outputs = np.zeros(flat.shape, np.result_type(read, back, flat))
    for place, row in enumerate(flat):
        outputs[place] = row + back @ read[place]

    def pullback(cotangent):
        d_outputs, d_weights = cotangent
        d_flat = d_outputs.reshape(flat.shape)
        d_maps = of_attention((d_flat @ back, d_weights))
        d_back = d_flat.T @ read
        d_inputs = d_flat + sum(d @ each for d, each in zip(d_maps, maps, strict=True))
        d_params = type(params)(*(d.T @ flat for d in d_maps), d_back)
        return d_params, d_inputs.reshape(features.shape)

    return (outputs.reshape(features.shape), weights), pullback
