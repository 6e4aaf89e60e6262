"""A GRU over images in NumPy, one tap of a kernel after the other, with its gradient by hand."""

import numpy as np


def convolutional_gru_cell(params, hidden, inputs):
    """Returns (new, pullback), as `jax.vjp` does.

    The equations are those of `reset_before_gru_cell` at each place, where a product W x is a sum
    over the taps d of W_d x[place + d]. So dW_d = Σ_place dy[place] x[place + d]ᵀ, and
    dx[place + d] has W_dᵀ dy[place], for each place whose neighbour is in the image.
    """
    kernels, state_kernels, bias = params
    a = [convolve(kernels[gate], inputs) + bias[gate] for gate in range(3)]
    reset, update = (
        1 / (1 + np.exp(-(a[gate] + convolve(state_kernels[gate], hidden)))) for gate in range(2)
    )
    remembered = reset * hidden
    candidate = np.tanh(a[2] + convolve(state_kernels[2], remembered))

    def pullback(d_new):
        d_candidate = d_new * (1 - update) * (1 - candidate**2)
        d_update = d_new * (hidden - candidate) * update * (1 - update)
        d_kernel, d_remembered = convolve_pullback(state_kernels[2], remembered, d_candidate)
        d_reset = d_remembered * hidden * reset * (1 - reset)
        d_gates = (d_reset, d_update, d_candidate)
        d_hidden = d_new * update + d_remembered * reset
        d_state_kernels, d_kernels, d_inputs = [], [], 0
        for gate in range(2):
            d_of_gate, part = convolve_pullback(state_kernels[gate], hidden, d_gates[gate])
            d_state_kernels.append(d_of_gate)
            d_hidden = d_hidden + part
        for gate in range(3):
            d_of_gate, part = convolve_pullback(kernels[gate], inputs, d_gates[gate])
            d_kernels.append(d_of_gate)
            d_inputs = d_inputs + part
        d_bias = np.stack([d_gate.sum((0, 1)) for d_gate in d_gates])
        d_params = type(params)(np.stack(d_kernels), np.stack([*d_state_kernels, d_kernel]), d_bias)
        return d_params, d_hidden, d_inputs

    return (1 - update) * candidate + update * hidden, pullback


def convolve(kernel, image):
    """Returns the sum over taps of the kernel's matrix times the neighbour, zero outside."""
    result = np.zeros((*image.shape[:2], len(kernel)), np.result_type(kernel, image))
    for tap, here, there in neighbours(kernel, image):
        result[here] += image[there] @ kernel[:, *tap].T
    return result


def convolve_pullback(kernel, image, cotangent):
    """Returns the cotangents of the kernel and of the image."""
    kind = np.result_type(kernel, image, cotangent)
    d_kernel, d_image = np.zeros(kernel.shape, kind), np.zeros(image.shape, kind)
    for tap, here, there in neighbours(kernel, image):
        d_kernel[:, *tap] += np.einsum("yxn,yxi->ni", cotangent[here], image[there])
        d_image[there] += cotangent[here] @ kernel[:, *tap]
    return d_kernel, d_image


def neighbours(kernel, image):
    """Yields each tap, the places that have a neighbour there, and these neighbours."""
    _, rows, columns, _ = kernel.shape
    high, wide, _ = image.shape
    for tap in np.ndindex(rows, columns):
        down, right = tap[0] - rows // 2, tap[1] - columns // 2
        if abs(down) >= high or abs(right) >= wide:
            continue
        here = (
            slice(max(-down, 0), high - max(down, 0)),
            slice(max(-right, 0), wide - max(right, 0)),
        )
        there = (
            slice(max(down, 0), high + min(down, 0)),
            slice(max(right, 0), wide + min(right, 0)),
        )
        yield tap, here, there
