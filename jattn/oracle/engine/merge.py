"""Two attentions over different keys made one, in NumPy, one query at a time."""

import numpy as np


def merge_attention(first_output, first_lse, second_output, second_lse):
    """Returns ((output, lse), pullback), as `jax.vjp` does.

    For one query of one head, with outputs o_i of two sets of keys and L_i = log Σ exp(scores):

        L = log(exp(L_1) + exp(L_2))        w_i = exp(L_i - L)        o = w_1 o_1 + w_2 o_2

    As ∂L/∂L_i = w_i and ∂w_i/∂L_j = w_i (δ_ij - w_j):

        do_i = w_i do        dL_i = w_i (o_i · do - o · do + dL)

    A part without keys, whose L_i is -inf, is left out; without either, o is 0 and L is -inf.
    """
    outputs, parts = (first_output, second_output), (first_lse, second_lse)
    dtype = np.result_type(*outputs, *parts)
    output = np.zeros(first_output.shape, dtype)
    lse = np.full(first_lse.shape, -np.inf, dtype)
    weights = [np.zeros(first_lse.shape, dtype) for _ in parts]
    places = [
        (place, [i for i in (0, 1) if parts[i][place].real != -np.inf])
        for place in np.ndindex(first_lse.shape)
    ]
    for place, given in places:
        if not given:
            continue
        largest = max(parts[i][place].real for i in given)
        lse[place] = largest + np.log(sum(np.exp(parts[i][place] - largest) for i in given))
        for i in given:
            weights[i][place] = np.exp(parts[i][place] - lse[place])
            output[place] += weights[i][place] * outputs[i][place]

    def pullback(cotangent):
        d_output, d_lse = cotangent
        d_dtype = np.result_type(dtype, d_output, d_lse)
        d_outputs = [np.zeros(x.shape, d_dtype) for x in outputs]
        d_parts = [np.zeros(x.shape, d_dtype) for x in parts]
        for place, given in places:
            for i in given:
                weight, d = weights[i][place], d_output[place]
                d_outputs[i][place] = weight * d
                shift = (outputs[i][place] - output[place]) @ d
                d_parts[i][place] = weight * (shift + d_lse[place])
        return d_outputs[0], d_parts[0], d_outputs[1], d_parts[1]

    return (output, lse), pullback
