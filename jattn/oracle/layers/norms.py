"""Normalization of vectors in NumPy, one at a time, with gradients derived by hand."""

import numpy as np


def layer_norm(params, inputs, *, epsilon=1e-5):
    """Returns (outputs, pullback), as `jax.vjp` does.

    For one vector, with σ = √(mean((x - mean(x))²) + ε) and z = (x - mean(x)) / σ, y = g ∘ z + b:

        dg = dy ∘ z        db = dy        dz = g ∘ dy
        dx = (dz - mean(dz) - z mean(z ∘ dz)) / σ

    since z does not change when x moves along the vector of ones, and only shrinks with ε when x
    moves along z. dg and db are summed over the vectors of a sequence.
    """
    scale, bias = params
    vectors = np.atleast_2d(inputs)
    outputs = np.zeros(
        vectors.shape, np.result_type(*(x for x in (*params, inputs) if x is not None))
    )
    normal, deviations = np.zeros_like(outputs), np.zeros(len(vectors), outputs.dtype)
    for row, vector in enumerate(vectors):
        if vector.size:
            centred = vector - vector.mean()
            deviations[row] = np.sqrt((centred**2).mean() + epsilon)
            normal[row] = centred / deviations[row]
        outputs[row] = scale * normal[row] if bias is None else scale * normal[row] + bias

    def pullback(d_outputs):
        kind = np.result_type(outputs, d_outputs)
        d_scale, d_shift = np.zeros(scale.shape, kind), np.zeros(scale.shape, kind)
        d_vectors = np.zeros(vectors.shape, kind)
        for row, d_output in enumerate(d_outputs.reshape(vectors.shape)):
            d_scale += d_output * normal[row]
            d_shift += d_output
            d_normal = scale * d_output
            if d_normal.size:
                along = normal[row] * (normal[row] * d_normal).mean()
                d_vectors[row] = (d_normal - d_normal.mean() - along) / deviations[row]
        d_params = type(params)(d_scale, None if bias is None else d_shift)
        return d_params, d_vectors.reshape(inputs.shape)

    return outputs.reshape(inputs.shape), pullback


def rms_norm(params, inputs, *, epsilon=1e-6):
    """Returns (outputs, pullback), as `jax.vjp` does.

    For one vector of d features, with r = √(Σ x² / d + ε) and y = g ∘ x / r:

        dg = dy ∘ x / r        dr = -(g ∘ dy) · x / r²        dx = g ∘ dy / r + dr x / (d r)

    since dr/dx = x / (d r). dg is summed over the vectors of a sequence.
    """
    (scale,) = params
    vectors = inputs.reshape(-1, inputs.shape[-1]) if inputs.size else np.atleast_2d(inputs)
    outputs = np.zeros(vectors.shape, np.result_type(scale, inputs))
    size = max(vectors.shape[1], 1)
    roots = [np.sqrt(sum(x * x for x in vector) / size + epsilon) for vector in vectors]
    for row, root in enumerate(roots):
        for place, feature in enumerate(vectors[row]):
            outputs[row, place] = scale[place] * feature / root

    def pullback(d_outputs):
        kind = np.result_type(outputs, d_outputs)
        d_scale, d_vectors = np.zeros(scale.shape, kind), np.zeros(vectors.shape, kind)
        for row, d_output in enumerate(d_outputs.reshape(vectors.shape)):
            vector, root = vectors[row], roots[row]
            d_scale += d_output * vector / root
            d_root = -(scale * d_output) @ vector / root**2
            d_vectors[row] = scale * d_output / root + d_root * vector / (size * root)
        return type(params)(d_scale), d_vectors.reshape(inputs.shape)

    return outputs.reshape(inputs.shape), pullback
