"""Hugging Face transformers: frequencies and rotations of positions, and biases."""

# pyright: reportMissingImports=false

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import torch
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

import jattn
from experiments.differences.agreement.entry import Entry, normal
from experiments.differences.agreement.transformers_models import (
    CAUSAL,
    X,
    angles,
    causal,
    config,
    entry,
    model,
)
from jattn import biases


def scaled(kind: str, ours, note: str, **parameters) -> Entry:
    """Compares frequencies of rotary positions, which depend on numbers alone."""

    def theirs():
        rope = {"rope_type": kind, "rope_theta": 10000.0, **parameters}
        length = rope.pop("seq_len", None)
        sizes = {"head_dim": 64, "hidden_size": 128, "num_attention_heads": 2}
        made = config("Llama", **sizes, max_position_embeddings=32768, rope_parameters=rope)
        frequencies, factor = ROPE_INIT_FUNCTIONS[kind](made, torch.device("cpu"), seq_len=length)
        return frequencies, torch.tensor(factor, dtype=torch.float64)

    mechanism, function, factor = ours
    expected = lambda: (function(jattn.rotary_frequencies(64)), np.float64(factor))
    return entry(mechanism, f'ROPE_INIT_FUNCTIONS["{kind}"]', (), expected, theirs, note)


ORIGINAL = {"original_max_position_embeddings": 2048}
YARN = partial(jattn.yarn_frequencies, factor=16.0, length=2048)
LLAMA3 = partial(jattn.by_parts_frequencies, factor=8.0, length=2048, fast=4.0)
ROPES = [
    scaled("linear", ("interpolated_frequencies",
                      partial(jattn.interpolated_frequencies, factor=4.0), 1.0), "", factor=4.0),
    scaled("dynamic", ("ntk_frequencies", partial(jattn.ntk_frequencies, factor=4.0 * 3 - 3), 1.0),
           "factor f n / m - (f - 1) for n positions and m in training",
           factor=4.0, seq_len=3 * 32768),
    scaled("yarn", ("yarn_frequencies", YARN, jattn.yarn_attention_factor(16.0)),
           "with the factor of attention", factor=16.0, **ORIGINAL),
    scaled("yarn", ("yarn_frequencies", partial(YARN, rounded=False),
                    jattn.yarn_attention_factor(16.0)),
           "truncate=False", factor=16.0, truncate=False, **ORIGINAL),
    scaled("llama3", ("by_parts_frequencies", LLAMA3, 1.0), "",
           factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, **ORIGINAL),
]  # fmt: skip


def halves_of_theirs(x):
    turned, _ = model("llama").apply_rotary_pos_emb(x[None, None], x[None, None], *angles(*x.shape))
    return turned[0, 0]


def halves(x):
    return jattn.half_split_rotary(x, jnp.arange(len(x)))


PLACES = np.array([[0, 0, 0], [1, 1, 1], [2, 2, 3], [2, 3, 2], [4, 5, 6]])


def several_axes(name: str, sections: tuple[int, ...], axes) -> Entry:
    def theirs(x):
        module = model(name)
        rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": list(sections)}
        kind = {"qwen2_vl": "Qwen2VLText", "qwen3_vl": "Qwen3VLText"}[name]
        made = config(kind, hidden_size=32, num_attention_heads=2, rope_parameters=rope,
                      **({"head_dim": 16} if name == "qwen3_vl" else {}))  # fmt: skip
        rotation = {"qwen2_vl": "Qwen2VLRotaryEmbedding", "qwen3_vl": "Qwen3VLTextRotaryEmbedding"}
        turns = getattr(module, rotation[name])(made)
        cosines, sines = turns(x, torch.tensor(PLACES.T[:, None]))
        return module.apply_rotary_pos_emb(x[None, None], x[None, None], cosines, sines)[0][0, 0]

    turn = partial(jattn.multi_axis_rotary, axis_of_pair=axes(sections))
    ours = lambda x: turn(x, jnp.asarray(PLACES), rotate=jattn.half_split_rotary)
    note = f"{axes.__name__}, and half_split_rotary"
    return entry("multi_axis_rotary", f"{name} rotary", (normal(5, 16),), ours, theirs, note)


def t5(bidirectional: bool) -> Entry:
    def theirs(table):
        distances = torch.arange(300)[None] - torch.arange(150, 152)[:, None]
        bucket = model("t5").T5Attention._relative_position_bucket
        return table[bucket(distances, bidirectional=bidirectional)].permute(2, 0, 1)

    ours = lambda table: biases.t5(table, bidirectional=bidirectional).dense(2, 300, offset=150)
    name = f"t5 _relative_position_bucket(bidirectional={bidirectional})"
    return entry("t5", name, (normal(32, 2),), ours, theirs)


def softmax_of_bias(scores):
    bias = biases.alibi(biases.alibi_slopes(6)).dense(5, 5)
    normalize = lambda rows, bias: jattn.softmax(rows + bias, CAUSAL)
    return jax.vmap(normalize)(scores, bias)


def softmax_of_bloom(scores):
    slopes = model("bloom").build_alibi_tensor(torch.ones(1, 5), 6, torch.float64)
    return torch.softmax(scores + slopes + causal(5)[0], -1)


def softmax_of_mpt(scores):
    return torch.softmax(scores + model("mpt").build_mpt_alibi_tensor(6, 5) + causal(5)[0], -1)


def bias_alone(scores):
    return scores + biases.alibi(biases.alibi_slopes(6)).dense(5, 5)


def bias_of_bloom(scores):
    return scores + model("bloom").build_alibi_tensor(torch.ones(1, 5), 6, torch.float64)


ALIBI = (normal(6, 5, 5),)
TURNED = "half_split_rotary"
ENTRIES = [
    *ROPES,
    entry("rotary", "llama apply_rotary_pos_emb", (X,), halves, halves_of_theirs, TURNED),
    several_axes("qwen2_vl", (2, 3, 3), jattn.contiguous_axes),
    several_axes("qwen3_vl", (4, 2, 2), jattn.interleaved_axes),
    t5(bidirectional=True),
    t5(bidirectional=False),
    entry("alibi", "bloom build_alibi_tensor", ALIBI, softmax_of_bias, softmax_of_bloom,
          "under a causal softmax, which does not see a number added to a row"),
    entry("alibi", "mpt build_mpt_alibi_tensor", ALIBI, softmax_of_bias, softmax_of_mpt,
          "under a causal softmax"),
    entry("alibi", "bloom build_alibi_tensor", ALIBI, bias_alone, bias_of_bloom, "",
          "slopes times the position of the key, so keys after the query are preferred"),

]  # fmt: skip
