"""Hugging Face transformers: modules of attention."""

# pyright: reportMissingImports=false

from functools import partial

import jax.numpy as jnp
import torch

import jattn
from experiments.differences.agreement.entry import normal
from experiments.differences.agreement.torch_run import load
from experiments.differences.agreement.transformers_models import (
    CAUSAL,
    FEATURES,
    HEADS,
    LENGTH,
    SIZE,
    X,
    angles,
    causal,
    config,
    entry,
    flat,
    model,
)


def differential(query, key, value, output, query_balance, key_balance, x):
    params = jattn.DifferentialParams(
        query, key, value, output, query_balance, key_balance, jnp.ones(2 * SIZE)
    )
    options = {"initial": jattn.initial_balance(3), "mask": CAUSAL, "epsilon": 1e-5}
    turn = jattn.half_split_rotary
    return jattn.differential_attention(params, x, x, x, turn=turn, **options).context


def differential_of_theirs(query, key, value, output, query_balance, key_balance, x):
    heads = 2 * HEADS
    sizes = {"hidden_size": FEATURES, "num_attention_heads": heads, "num_key_value_heads": heads}
    made = config("DiffLlama", **sizes, head_dim=SIZE, rms_norm_eps=1e-5)
    module = model("diffllama").DiffLlamaAttention(made, layer_idx=2)
    # The two halves of a value are values of two heads, all first halves before all second ones.
    values = value.reshape(HEADS, 2, SIZE, FEATURES).transpose(0, 1)
    weights = {
        "q_proj.weight": flat(query),
        "k_proj.weight": flat(key),
        "v_proj.weight": flat(values),
        "o_proj.weight": output.flatten(1),
    }
    for i in (0, 1):
        weights[f"lambda_q{i + 1}"], weights[f"lambda_k{i + 1}"] = query_balance[i], key_balance[i]
    options = {"position_embeddings": angles(LENGTH, SIZE), "attention_mask": causal(LENGTH)}
    return load(module, weights, x[None], **options)[0][0]


def latent(attend):
    def ours(*arrays):
        *params, x = arrays
        return attend(jattn.LatentParams(*params), x)

    return ours


def expanded(params, x):
    options = {"mask": CAUSAL, "turn": jattn.rotary}
    return jattn.latent_attention(params, x, x, **options).context


def absorbed(params, x):
    from jattn.attention.latent import latent_memory

    memory = latent_memory(params, x, turn=jattn.rotary)
    options = {"mask": CAUSAL, "turn": jattn.rotary}
    return jattn.absorbed_latent_attention(params, x, *memory, **options).context


def latent_of_theirs(norms: bool, *arrays):
    query_down, query_up, query_rotary, key_down, key_up, key_rotary, value_up, output, x = arrays
    sizes = {"q_lora_rank": 3, "kv_lora_rank": 5, "v_head_dim": 3, "qk_nope_head_dim": 4}
    sizes |= {"qk_rope_head_dim": 2, "hidden_size": FEATURES, "num_attention_heads": HEADS}
    rope = {"rope_type": "default", "rope_theta": 10000.0}
    made = config("DeepseekV3", **sizes, num_key_value_heads=HEADS, rope_parameters=rope)
    module = model("deepseek_v3").DeepseekV3Attention(made, layer_idx=0)
    weights = {
        "q_a_proj.weight": query_down,
        "q_b_proj.weight": flat(torch.cat([query_up, query_rotary], 1)),
        "kv_a_proj_with_mqa.weight": torch.cat([key_down, key_rotary]),
        "kv_b_proj.weight": flat(torch.cat([key_up, value_up], 1)),
        "o_proj.weight": output.flatten(1),
    }
    if norms:
        weights |= {"q_a_layernorm.weight": torch.ones(3), "kv_a_layernorm.weight": torch.ones(5)}
    else:
        module.q_a_layernorm = module.kv_a_layernorm = torch.nn.Identity()
    return load(module, weights, x[None], angles(LENGTH, 2), causal(LENGTH))[0][0]


LATENT = (
    *(normal(3, FEATURES), normal(HEADS, 4, 3), normal(HEADS, 2, 3)),
    *(normal(5, FEATURES), normal(HEADS, 4, 5), normal(2, FEATURES), normal(HEADS, 3, 5)),
    *(normal(FEATURES, HEADS, 3), X),
)


def normed(query, key, value, output, query_scale, key_scale, x):
    heads = jattn.MultiHeadParams(query, key, value, output)
    params = jattn.QueryKeyNormParams(heads, jnp.sqrt(float(SIZE)), query_scale, key_scale)
    turn = jattn.half_split_rotary
    return jattn.query_key_norm_attention(params, x, x, x, mask=CAUSAL, turn=turn).context


def normed_of_theirs(query, key, value, output, query_scale, key_scale, x):
    sizes = {"hidden_size": FEATURES, "num_attention_heads": 4, "num_key_value_heads": 2}
    made = config("Qwen3", **sizes, head_dim=SIZE, rms_norm_eps=0.0)
    parts = {"q_proj": flat(query), "k_proj": flat(key), "v_proj": flat(value)}
    parts |= {"o_proj": output.flatten(1), "q_norm": query_scale, "k_norm": key_scale}
    weights = {f"{name}.weight": part for name, part in parts.items()}
    options = {"position_embeddings": angles(LENGTH, SIZE), "attention_mask": causal(LENGTH)}
    return load(model("qwen3").Qwen3Attention(made, 0), weights, x[None], **options)[0][0]


NORMED = (normal(4, SIZE, FEATURES), normal(2, SIZE, FEATURES), normal(2, SIZE, FEATURES),
          normal(FEATURES, 4, SIZE), normal(SIZE), normal(SIZE), X)  # fmt: skip


def one_head(weights: dict, x, name: str, **options) -> torch.Tensor:
    """Runs the attention of a speech model of one head whose maps are the identity."""
    kind = {"wav2vec2_bert": "Wav2Vec2Bert", "wav2vec2_conformer": "Wav2Vec2Conformer"}[name]
    relative = options.pop("relative_position_embeddings", None)
    made = config(kind, hidden_size=FEATURES, num_attention_heads=1, **options)
    module = getattr(model(name), f"{kind}SelfAttention")(made)
    for part in "qkv":
        weights[f"linear_{part}.weight"] = torch.eye(FEATURES)
        weights[f"linear_{part}.bias"] = torch.zeros(FEATURES)
    weights |= {"linear_out.weight": torch.eye(FEATURES), "linear_out.bias": torch.zeros(FEATURES)}
    return load(module, weights, x[None], relative_position_embeddings=relative)[0][0]


def far(weight, content, position, x):
    params = jattn.TransformerXLParams(weight, content, position)
    return jattn.transformer_xl_attention(params, x, x, x).context


def far_of_theirs(weight, content, position, x):
    """Sines and cosines of a frequency are neighbours in the library."""
    options = {"max_source_positions": 10, "position_embeddings_type": "relative"}
    made = config("Wav2Vec2Conformer", hidden_size=FEATURES, **options)
    distances = model("wav2vec2_conformer").Wav2Vec2ConformerRelPositionalEmbedding(made)(x[None])
    order = torch.arange(FEATURES).reshape(2, -1).T.reshape(-1)
    weights = {"linear_pos.weight": weight[:, order], "pos_bias_u": content[None]}
    weights["pos_bias_v"] = position[None]
    options["relative_position_embeddings"] = distances
    return one_head(weights, x, "wav2vec2_conformer", **options)


def shaw(table, x):
    return jattn.shaw_attention(jattn.ShawParams(table), x, x, x).context


def shaw_of_theirs(table, x):
    limits = {"left_max_position_embeddings": 2, "right_max_position_embeddings": 2}
    options = {"position_embeddings_type": "relative_key", **limits}
    return one_head({"distance_embedding.weight": table}, x, "wav2vec2_bert", **options)


DIFFERENTIAL = (
    *(normal(2, HEADS, SIZE, FEATURES, scale=0.5),) * 2,
    *(normal(HEADS, 2 * SIZE, FEATURES), normal(FEATURES, HEADS, 2 * SIZE)),
    *(normal(2, SIZE, scale=0.3), normal(2, SIZE, scale=0.3), X),
)
TURNED = "half_split_rotary"
ENTRIES = [
    entry("differential_attention", "DiffLlamaAttention", DIFFERENTIAL, differential,
          differential_of_theirs, f"{TURNED}; factors of the norm are one; layer 3 is layer_idx 2"),
    entry("latent_attention", "DeepseekV3Attention", LATENT, latent(expanded),
          partial(latent_of_theirs, False), "norms of the latents are the identity"),
    entry("absorbed_latent_attention", "DeepseekV3Attention", LATENT, latent(absorbed),
          partial(latent_of_theirs, False), "norms of the latents are the identity"),
    entry("query_key_norm_attention", "Qwen3Attention", NORMED, normed, normed_of_theirs,
          f"{TURNED}; strength √e; epsilon 0"),
    entry("transformer_xl_attention", "Wav2Vec2ConformerSelfAttention",
          (normal(FEATURES, FEATURES), normal(FEATURES), normal(FEATURES), X), far, far_of_theirs,
          "one head; sines and cosines of a frequency are neighbours"),
    entry("shaw_attention", "Wav2Vec2BertSelfAttention", (normal(5, FEATURES), X), shaw,
          shaw_of_theirs, "one head, and vectors for keys alone"),
    entry("latent_attention", "DeepseekV3Attention", LATENT, latent(expanded),
          partial(latent_of_theirs, True), "", "both latents are normalized"),
]  # fmt: skip
