"""Hugging Face transformers: positions, attention, recurrences, and other modules."""

# pyright: reportMissingImports=false

import inspect

import torch

import jattn
from experiments.differences.agreement import transformers_heads, transformers_positions
from experiments.differences.agreement.entry import normal, shares, units
from experiments.differences.agreement.torch_run import load
from experiments.differences.agreement.transformers_models import (
    FEATURES,
    HEADS,
    HIDDEN,
    LENGTH,
    SIZE,
    X,
    config,
    entry,
    flat,
    model,
)
from jattn import linear
from jattn.images.deformable import DeformableParams
from jattn.images.squeeze import ChannelGateParams


def time_first(*tensors):
    return [tensor[None, :, None] for tensor in tensors]


def gated_delta(name: str, by_feature: bool):
    def theirs(q, k, v, strength, decay, state):
        arrays = time_first(q * SIZE**0.5, k, v, decay.log(), strength)
        function = {"qwen3_next": "torch_recurrent_gated_delta_rule"}
        call = getattr(model(name), function.get(name, "recurrent_kimi_delta_attention"))
        call = inspect.unwrap(call)  # Where fla is installed, its kernels would take over.
        outputs, state = call(*arrays, initial_state=state[None, None], output_final_state=True)
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


def transport(scores, dustbin):
    return jattn.dustbin_sinkhorn(scores, dustbin=dustbin, steps=7)


def transport_of_theirs(scores, dustbin):
    matching = model("superglue").log_optimal_transport(scores[None], dustbin[None, None, None], 7)
    return matching[0, :-1, :-1].exp()


def squeeze(reduce_weight, expand_weight, reduce_bias, expand_bias, features):
    params = ChannelGateParams(reduce_weight, expand_weight, reduce_bias, expand_bias)
    return jattn.images.squeeze_excitation(params, features).features


def squeeze_of_theirs(reduce_weight, expand_weight, reduce_bias, expand_bias, features):
    parts = {"0.weight": reduce_weight[..., None, None], "0.bias": reduce_bias}
    parts |= {"2.weight": expand_weight[..., None, None], "2.bias": expand_bias}
    weights = {f"attention.{name}": part for name, part in parts.items()}
    layer = model("regnet").RegNetSELayer(FEATURES, HIDDEN)
    return load(layer, weights, features.permute(2, 0, 1)[None])[0].permute(1, 2, 0)


def deformable(offset, offset_bias, score, score_bias, value, output, query, points, image):
    params = DeformableParams(offset, offset_bias, score, score_bias, value, output)
    return jattn.images.deformable_attention(params, query, points, image).context


def deformable_of_theirs(
    offset, offset_bias, score, score_bias, value, output, query, points, image
):
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


DUAL = (normal(LENGTH, SIZE), normal(LENGTH, SIZE), normal(LENGTH, 3), shares(LENGTH), shares(),
        normal(SIZE, 3))  # fmt: skip
GATE = (normal(HIDDEN, FEATURES), normal(FEATURES, HIDDEN), normal(HIDDEN), normal(FEATURES),
        normal(4, 3, FEATURES))  # fmt: skip
POINTS = (
    *(normal(HEADS, 3, 2, FEATURES, scale=0.3), normal(HEADS, 3, 2)),
    *(normal(HEADS, 3, FEATURES), normal(HEADS, 3), normal(HEADS, SIZE, FEATURES)),
    *(normal(FEATURES, HEADS, SIZE), X, shares(LENGTH, 2), normal(5, 7, FEATURES)),
)
ENTRIES = [
    *transformers_positions.ENTRIES,
    *transformers_heads.ENTRIES,
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
]  # fmt: skip
