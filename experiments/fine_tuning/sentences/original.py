"""The original model for comparison: BERT's equations in NumPy, and `transformers`.

Both read the arrays under the names of the file, independent of the conversion to jattn's tree.
"""
# pyright: reportMissingImports=false

import math
from collections.abc import Mapping, Sequence

import numpy as np

Weights = Mapping[str, np.ndarray]


def embed(weights: Weights, tokens: np.ndarray, heads: int) -> np.ndarray:
    """Computes the embedding of a sentence in float64: layers, mean over tokens, length one."""
    get = lambda name: weights[name].astype(np.float64)
    linear = lambda name, x: x @ get(f"{name}.weight").T + get(f"{name}.bias")

    def norm(name, x):
        centred = x - x.mean(-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return centred / deviation * get(f"{name}.weight") + get(f"{name}.bias")

    table = lambda name, rows: weights[f"embeddings.{name}_embeddings.weight"][rows]
    states = table("word", tokens).astype(np.float64)
    states = states + table("position", np.arange(len(tokens))) + table("token_type", [0])
    states = norm("embeddings.LayerNorm", states)
    for layer in range(sum(name.endswith("intermediate.dense.bias") for name in weights)):
        prefix = f"encoder.layer.{layer}"
        attention = f"{prefix}.attention"
        query, key, value = (
            np.split(linear(f"{attention}.self.{part}", states), heads, axis=1)
            for part in ("query", "key", "value")
        )
        contexts = []
        for q, k, v in zip(query, key, value, strict=True):
            scores = q @ k.T / math.sqrt(q.shape[1])
            exponentials = np.exp(scores - scores.max(-1, keepdims=True))
            contexts.append(exponentials / exponentials.sum(-1, keepdims=True) @ v)
        attended = linear(f"{attention}.output.dense", np.concatenate(contexts, axis=1))
        states = norm(f"{attention}.output.LayerNorm", states + attended)
        wide = linear(f"{prefix}.intermediate.dense", states)
        wide = wide * (1 + np.vectorize(math.erf)(wide / math.sqrt(2))) / 2
        states = norm(f"{prefix}.output.LayerNorm", states + linear(f"{prefix}.output.dense", wide))
    mean = states.mean(0)
    return mean / np.linalg.norm(mean)


def embed_with_transformers(
    weights: Weights, sentences: Sequence[np.ndarray], heads: int
) -> np.ndarray:
    """Computes the embeddings by `transformers`' BertModel in float32, in a padded batch.

    Raises:
        ImportError: transformers or torch is missing.
    """
    import torch
    import transformers

    words, features = weights["embeddings.word_embeddings.weight"].shape
    layers = sum(name.endswith("intermediate.dense.bias") for name in weights)
    config = transformers.BertConfig(
        vocab_size=words,
        hidden_size=features,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=len(weights["encoder.layer.0.intermediate.dense.bias"]),
        max_position_embeddings=len(weights["embeddings.position_embeddings.weight"]),
    )
    model = transformers.BertModel(config).eval()
    model.load_state_dict({name: torch.tensor(array) for name, array in weights.items()}, False)
    longest = max(map(len, sentences))
    padded = np.array([np.pad(tokens, (0, longest - len(tokens))) for tokens in sentences])
    mask = torch.tensor([[i < len(tokens) for i in range(longest)] for tokens in sentences])
    with torch.no_grad():
        states = model(torch.tensor(padded), attention_mask=mask.long()).last_hidden_state
        mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return torch.nn.functional.normalize(mean).numpy()
