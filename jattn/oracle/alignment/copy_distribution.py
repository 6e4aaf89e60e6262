"""Copied words in NumPy, one word of the source at a time."""

import numpy as np


def copy_distribution(generate, vocabulary, weights, tokens, *, extra_words=0):
    """Returns (outputs, pullback), as `jax.vjp` does.

    For P_w = g V_w + (1 - g) Σ_{s: x_s = w} a_s:

        dV = g dP      da_s = (1 - g) dP_{x_s}      dg = V · dP - Σ_s a_s dP_{x_s}
    """
    words, kind = vocabulary.shape[1], np.result_type(generate, vocabulary, weights)
    outputs = np.zeros((len(generate), words + extra_words), kind)
    for row, share in enumerate(generate):
        outputs[row, :words] = share * vocabulary[row]
        for place, token in enumerate(tokens):
            outputs[row, token] += (1 - share) * weights[row, place]

    def pullback(d_outputs):
        dtype = np.result_type(kind, d_outputs)
        d_generate, d_vocabulary, d_weights = (
            np.zeros(array.shape, dtype) for array in (generate, vocabulary, weights)
        )
        for row, share in enumerate(generate):
            d_vocabulary[row] = share * d_outputs[row, :words]
            d_generate[row] = vocabulary[row] @ d_outputs[row, :words]
            for place, token in enumerate(tokens):
                d_weights[row, place] = (1 - share) * d_outputs[row, token]
                d_generate[row] -= weights[row, place] * d_outputs[row, token]
        return d_generate, d_vocabulary, d_weights

    return outputs, pullback
