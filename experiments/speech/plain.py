"""Whisper's equations in plain NumPy and float64, to check the model on jattn with.

It reads the arrays of the file by their names, without the parameters of `whisper`.
"""

from collections.abc import Mapping

import numpy as np
from scipy.special import erf

Arrays = Mapping[str, np.ndarray]


def gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1.0 + erf(x / np.sqrt(2.0)))


def norm(arrays: Arrays, name: str, x: np.ndarray) -> np.ndarray:
    scale, shift = (arrays[f"{name}/layer_norm/{part}"] for part in ("gamma", "beta"))
    centred = x - x.mean(-1, keepdims=True)
    return scale * centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) + shift


def linear(arrays: Arrays, name: str, x: np.ndarray) -> np.ndarray:
    return x @ arrays[f"{name}/weight"].astype(float).T + arrays[f"{name}/bias"]


def attention(
    query: np.ndarray, key: np.ndarray, value: np.ndarray, heads: int, is_causal: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the contexts of all heads side by side, and each head's weights."""
    contexts, all_weights = [], []
    for q, k, v in zip(*(np.split(x, heads, -1) for x in (query, key, value)), strict=True):
        scores = q @ k.T / np.sqrt(q.shape[-1])
        if is_causal:
            scores[np.triu_indices(len(q), 1)] = -np.inf
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        contexts.append(weights @ v)
        all_weights.append(weights)
    return np.concatenate(contexts, -1), np.array(all_weights)


def self_attention(arrays: Arrays, name: str, x: np.ndarray, is_causal: bool) -> np.ndarray:
    query, key, value = np.split(linear(arrays, f"{name}/linear_0", norm(arrays, name, x)), 3, -1)
    heads = int(arrays[f"{name.split('/')[0]}/num_heads"])
    return x + linear(arrays, f"{name}/linear_1", attention(query, key, value, heads, is_causal)[0])


def feed_forward(arrays: Arrays, name: str, x: np.ndarray) -> np.ndarray:
    hidden = gelu(linear(arrays, f"{name}/linear_0", norm(arrays, name, x)))
    return x + linear(arrays, f"{name}/linear_1", hidden)


def encoder_block(arrays: Arrays, name: str, x: np.ndarray) -> np.ndarray:
    return feed_forward(
        arrays, f"{name}/ffn", self_attention(arrays, f"{name}/self_attention", x, False)
    )


def decoder_block(
    arrays: Arrays, name: str, x: np.ndarray, states: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the features, and each head's weights on the states."""
    x = self_attention(arrays, f"{name}/self_attention", x, True)
    to_states = f"{name}/attention"
    query = linear(arrays, f"{to_states}/linear_0", norm(arrays, to_states, x))
    key, value = np.split(linear(arrays, f"{to_states}/linear_1", states), 2, -1)
    context, weights = attention(query, key, value, int(arrays["decoder/num_heads"]), False)
    return feed_forward(
        arrays, f"{name}/ffn", x + linear(arrays, f"{to_states}/linear_2", context)
    ), weights


def convolution(arrays: Arrays, name: str, x: np.ndarray, stride: int) -> np.ndarray:
    """Returns a convolution of rows [f, i] of width 3, with zeros around them."""
    weight, padded = arrays[f"{name}/weight"].astype(float), np.pad(x, ((1, 1), (0, 0)))
    places = [padded[tap : tap + len(x) : stride] @ weight[:, :, tap].T for tap in range(3)]
    return gelu(sum(places) + arrays[f"{name}/bias"])


def layers(arrays: Arrays, part: str) -> list[str]:
    names = {name.split("/")[1] for name in arrays if name.startswith(f"{part}/layer_")}
    return [f"{part}/layer_{index}" for index in range(len(names - {"layer_norm"}))]


def encode(arrays: Arrays, spectrogram: np.ndarray) -> np.ndarray:
    x = convolution(arrays, "encoder/conv1", spectrogram.astype(float).T, 1)
    x = convolution(arrays, "encoder/conv2", x, 2)
    x = x + arrays["encoder/position_encodings/encodings"]
    for name in layers(arrays, "encoder"):
        x = encoder_block(arrays, name, x)
    return norm(arrays, "encoder", x)


def read(
    arrays: Arrays, states: np.ndarray, tokens: np.ndarray
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Returns the logits after each token, and each block's weights on the states."""
    words = arrays["decoder/embeddings/weight"].astype(float)
    x = words[tokens] + arrays["decoder/position_encodings/encodings"][: len(tokens)]
    all_weights = []
    for name in layers(arrays, "decoder"):
        x, weights = decoder_block(arrays, name, x, states)
        all_weights.append(weights)
    return norm(arrays, "decoder", x) @ words.T, all_weights
