"""Embedding and linear layers in NumPy, one token or vector at a time."""

import math

import numpy as np


def embedding(params, tokens):
    """Returns (rows, pullback), as `jax.vjp` does: dweight[w] = Σ doutputs[s] where tokens[s] = w.

    Tokens are whole numbers and have no gradient: the pullback returns that of the weight alone.
    """
    weight, tokens = params.weight, np.asarray(tokens)
    outputs = np.zeros((*tokens.shape, weight.shape[1]), weight.dtype)
    for place, token in np.ndenumerate(tokens):
        outputs[place] = weight[token]

    def pullback(d_outputs):
        d_weight = np.zeros(weight.shape, np.result_type(weight, d_outputs))
        for place, token in np.ndenumerate(tokens):
            d_weight[token] += d_outputs[place]
        return (type(params)(d_weight),)

    return outputs, pullback


def affine(params, inputs):
    """Returns (outputs, pullback), as `jax.vjp` does.

    For y = W x + b: dW = Σ dy xᵀ, db = Σ dy, dx = Wᵀ dy, summed over the vectors of a sequence.
    """
    weight, bias = params
    dtype = np.result_type(*(x for x in (*params, inputs) if x is not None))
    vectors = inputs.reshape(math.prod(inputs.shape[:-1]), inputs.shape[-1])
    outputs = np.zeros((len(vectors), len(weight)), dtype)
    for place, vector in enumerate(vectors):
        outputs[place] = weight @ vector if bias is None else weight @ vector + bias

    def pullback(d_outputs):
        kind = np.result_type(dtype, d_outputs)
        d_weight, d_bias = np.zeros(weight.shape, kind), np.zeros(len(weight), kind)
        d_vectors = np.zeros(vectors.shape, kind)
        for place, d_output in enumerate(d_outputs.reshape(len(vectors), len(weight))):
            d_weight += np.outer(d_output, vectors[place])
            d_bias += d_output
            d_vectors[place] = weight.T @ d_output
        d_params = type(params)(d_weight, None if bias is None else d_bias)
        return d_params, d_vectors.reshape(inputs.shape)

    return outputs.reshape(*inputs.shape[:-1], len(weight)), pullback
