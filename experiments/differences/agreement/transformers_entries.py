"""Hugging Face transformers: modules and functions of models, without trained weights.

Modules of models cast to float32 where they normalize; here these casts are to float64.
"""

# pyright: reportMissingImports=false

import importlib
import inspect
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import transformers
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

import jattn
from experiments.differences.agreement.entry import Entry, normal, shares, units
from experiments.differences.agreement.torch_run import by_torch, load
from jattn import biases, linear, masks

LENGTH, FEATURES, HEADS, SIZE, HIDDEN = 6, 8, 2, 4, 5
X = normal(LENGTH, FEATURES)
CAUSAL = masks.causal()


def model(name: str) -> Any:
    return importlib.import_module(f"transformers.models.{name}.modeling_{name}")


def entry(mechanism, function, inputs, ours, theirs, note="", differs=""):
    run = by_torch(theirs, casts=True)
    return Entry(mechanism, "transformers", function, inputs, ours, run, note, differs)


def config(name: str, **options) -> Any:
    made = getattr(transformers, f"{name}Config")(**options)
    made._attn_implementation = "eager"
    return made


def causal(length: int) -> torch.Tensor:
    """Returns what is added to the scores."""
    return torch.full((length, length), -torch.inf, dtype=torch.float64).triu(1)[None, None]


def angles(length: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns cosines and sines of rotary positions, of halves, as the modules take them."""
    frequencies = torch.tensor(jattn.rotary_frequencies(size))
    turned = torch.arange(length)[:, None] * frequencies
    both = torch.cat([turned, turned], -1)[None]
    return both.cos(), both.sin()


# Positions.


def scaled(kind: str, ours, note: str, **parameters) -> Entry:
    """Compares frequencies of rotary positions, which depend on numbers alone."""

    def theirs():
        rope = {"rope_type": kind, "rope_theta": 10000.0, **parameters}
        length = rope.pop("seq_len", None)
        sizes = {"head_dim": 64, "hidden_size": 128, "num_attention_heads": 2}
        made = config("Llama", **sizes, max_position_embeddings=4096, rope_parameters=rope)
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
           factor=4.0, seq_len=3 * 4096),
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


# Attention.


def flat(weight):
    """Joins the axes of heads and of their features."""
    return weight.reshape(-1, weight.shape[-1])


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


LATENTS = {"queries": 3, "keys": 5, "plain": 4, "turned": 2, "values": 3}


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
    options = {"left_max_position_embeddings": 2, "right_max_position_embeddings": 2}
    options["position_embeddings_type"] = "relative_key"
    return one_head({"distance_embedding.weight": table}, x, "wav2vec2_bert", **options)


# Recurrences.


def time_first(*tensors):
    return [tensor[None, :, None] for tensor in tensors]


def gated_delta(name: str, by_feature: bool):
    def theirs(q, k, v, strength, decay, state):
        arrays = time_first(q * SIZE**0.5, k, v, decay.log(), strength)
        function = {"qwen3_next": "torch_recurrent_gated_delta_rule"}
        call = getattr(model(name), function.get(name, "recurrent_kimi_delta_attention"))
        call = inspect.unwrap(call)  # Where fla is installed, its kernels would take over.
        outputs, state = call(
            *arrays, initial_state=state[None, None], output_final_state=True
        )
        return outputs[0, :, 0], state[0, 0]

    rule = linear.kimi_delta_attention if by_feature else linear.gated_delta_net
    ours = lambda q, k, v, strength, decay, state: rule(q, k, v, strength, decay, initial=state)
    decays = shares(LENGTH, SIZE) if by_feature else shares(LENGTH)
    inputs = (normal(LENGTH, SIZE), units(LENGTH, SIZE), normal(LENGTH, 3), shares(LENGTH),
              decays, normal(SIZE, 3))  # fmt: skip
    note = "queries times the root of their size; the logarithm of the decay"
    names = {"qwen3_next": "qwen3_next torch_recurrent_gated_delta_rule"}
    function = names.get(name, f"{name} recurrent_kimi_delta_attention")
    return entry(rule.__name__, function, inputs, ours, theirs, note)


def dual(q, k, v, step, rate, state):
    return linear.state_space_dual(q, k, v, step, rate, initial=state)


def dual_of_theirs(q, k, v, step, rate, state):
    x, steps, key, query = time_first(v, step, k, q)
    scan = inspect.unwrap(model("mamba2").mamba2_chunk_scan)
    options = {"initial_states": state.T[None, None], "return_final_states": True}
    outputs, after = scan(x, steps, -rate[None], key, query, 4, **options)
    return outputs[0, :, 0], after[0, 0].T


# Others.


def transport(scores, dustbin):
    return jattn.dustbin_sinkhorn(scores, dustbin=dustbin, steps=7)


def transport_of_theirs(scores, dustbin):
    matching = model("superglue").log_optimal_transport(scores[None], dustbin[None, None, None], 7)
    return matching[0, :-1, :-1].exp()


def squeeze(reduce_weight, expand_weight, reduce_bias, expand_bias, features):
    params = jattn.images.squeeze.ChannelGateParams(
        reduce_weight, expand_weight, reduce_bias, expand_bias
    )
    return jattn.images.squeeze_excitation(params, features).features


def squeeze_of_theirs(reduce_weight, expand_weight, reduce_bias, expand_bias, features):
    parts = {"0.weight": reduce_weight[..., None, None], "0.bias": reduce_bias}
    parts |= {"2.weight": expand_weight[..., None, None], "2.bias": expand_bias}
    weights = {f"attention.{name}": part for name, part in parts.items()}
    layer = model("regnet").RegNetSELayer(FEATURES, HIDDEN)
    return load(layer, weights, features.permute(2, 0, 1)[None])[0].permute(1, 2, 0)


def deformable(offset, offset_bias, score, score_bias, value, output, query, points, image):
    params = jattn.images.deformable.DeformableParams(
        offset, offset_bias, score, score_bias, value, output
    )
    return jattn.images.deformable_attention(params, query, points, image).context


def deformable_of_theirs(offset, offset_bias, score, score_bias, value, output, query, points, image):
    rows, columns, _ = image.shape
    made = config("DeformableDetr", d_model=FEATURES, num_feature_levels=1)
    made.disable_custom_kernels = True
    detr = model("deformable_detr")
    module = detr.DeformableDetrMultiscaleDeformableAttention(made, num_heads=HEADS, n_points=3)
    nothing = torch.zeros(FEATURES)
    weights = {
        "sampling_offsets.weight": flat(offset.flip(2)),
        "sampling_offsets.bias": offset_bias.flip(2).flatten(),
        "attention_weights.weight": flat(score),
        "attention_weights.bias": score_bias.flatten(),
        "value_proj.weight": flat(value),
        "value_proj.bias": nothing,
        "output_proj.weight": output.flatten(1),
        "output_proj.bias": nothing,
    }
    return load(
        module,
        weights,
        query[None],
        encoder_hidden_states=image.flatten(0, 1)[None],
        reference_points=points.flip(1)[None, :, None],
        spatial_shapes=torch.tensor([[rows, columns]]),
        spatial_shapes_list=[(rows, columns)],
    )[0][0]


def network(gate, hidden, output, x):
    return jattn.gated_feed_forward(jattn.GatedFeedForwardParams(gate, hidden, output), x)


def network_of_theirs(gate, hidden, output, x):
    made = config("Llama", hidden_size=FEATURES, intermediate_size=HIDDEN, num_attention_heads=2)
    parts = {"gate_proj": gate, "up_proj": hidden, "down_proj": output}
    weights = {f"{name}.weight": part for name, part in parts.items()}
    return load(model("llama").LlamaMLP(made), weights, x)


def rms(scale, x):
    return jattn.rms_norm(jattn.RMSNormParams(scale), x, epsilon=1e-6)


DIFFERENTIAL = (
    *(normal(2, HEADS, SIZE, FEATURES, scale=0.5),) * 2,
    *(normal(HEADS, 2 * SIZE, FEATURES), normal(FEATURES, HEADS, 2 * SIZE)),
    *(normal(2, SIZE, scale=0.3), normal(2, SIZE, scale=0.3), X),
)
DUAL = (normal(LENGTH, SIZE), normal(LENGTH, SIZE), normal(LENGTH, 3), shares(LENGTH), shares(),
        normal(SIZE, 3))  # fmt: skip
GATE = (normal(HIDDEN, FEATURES), normal(FEATURES, HIDDEN), normal(HIDDEN), normal(FEATURES),
        normal(4, 3, FEATURES))  # fmt: skip
POINTS = (
    *(normal(HEADS, 3, 2, FEATURES, scale=0.3), normal(HEADS, 3, 2)),
    *(normal(HEADS, 3, FEATURES), normal(HEADS, 3), normal(HEADS, SIZE, FEATURES)),
    *(normal(FEATURES, HEADS, SIZE), X, shares(LENGTH, 2), normal(5, 7, FEATURES)),
)
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
    gated_delta("qwen3_next", by_feature=False),
    gated_delta("kimi_linear", by_feature=True),
    entry("state_space_dual", "mamba2 mamba2_chunk_scan", DUAL, dual, dual_of_theirs,
          "A is minus the rate; the state is transposed"),
    entry("dustbin_sinkhorn", "superglue log_optimal_transport", (normal(4, 6), normal()),
          transport, transport_of_theirs, "the exponential, without the dustbins"),
    entry("squeeze_excitation", "RegNetSELayer", GATE, squeeze, squeeze_of_theirs,
          "channels first"),
    entry("deformable_attention", "DeformableDetrMultiscaleDeformableAttention", POINTS,
          deformable, deformable_of_theirs, "(column, row) for (row, column); one scale"),
    entry("gated_feed_forward", "LlamaMLP",
          (normal(HIDDEN, FEATURES), normal(HIDDEN, FEATURES), normal(FEATURES, HIDDEN), X),
          network, network_of_theirs),
    entry("rms_norm", "LlamaRMSNorm", (normal(FEATURES), X), rms,
          lambda scale, x: load(model("llama").LlamaRMSNorm(FEATURES), {"weight": scale}, x),
          "epsilon 1e-06"),
    entry("latent_attention", "DeepseekV3Attention", LATENT, latent(expanded),
          partial(latent_of_theirs, True), "", "both latents are normalized"),
    entry("alibi", "bloom build_alibi_tensor", ALIBI, bias_alone, bias_of_bloom, "",
          "slopes times the position of the key, so keys after the query are preferred"),
]  # fmt: skip
