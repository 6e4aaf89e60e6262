"""x-transformers: options of its attention module, and its other parts."""

# pyright: reportMissingImports=false

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import x_transformers.x_transformers as library

import jattn
from experiments.differences.agreement import x_transformers_parts
from experiments.differences.agreement.entry import Entry, by_numpy, normal
from experiments.differences.agreement.torch_run import load
from experiments.differences.agreement.x_transformers_parts import FEATURES, X, entry
from jattn import masks

HEADS, SIZE = 2, 4
CAUSAL = masks.causal()


def maps(heads=HEADS, groups=None):
    """Draws of query, key, value and output weights."""
    groups = groups or heads
    into = [normal(number, SIZE, FEATURES, scale=0.5) for number in (heads, groups, groups)]
    return (*into, normal(FEATURES, heads, SIZE, scale=0.5))


def names(query, key, value, output):
    """Returns the weights by their names in the module."""
    weights = {"to_q.weight": query, "to_k.weight": key, "to_v.weight": value}
    weights = {name: weight.flatten(0, 1) for name, weight in weights.items()}
    return weights | {"to_out.weight": output.flatten(1)}


def module(heads=HEADS, causal=True, **options):
    return library.Attention(
        FEATURES, dim_head=SIZE, heads=heads, causal=causal, project_out=True, **options
    )


def attention(mechanism, options, ours, *, more=(), note="", differs="", heads=HEADS,
              groups=None, causal=True, call=lambda x: {}):  # fmt: skip
    """Makes an entry of the module with `options`.

    Args:
        ours: a function of MultiHeadParams, the parameters of `more`, and x.
        more: pairs of a name in the module and a draw.
        call: returns keyword arguments of the call.
    """
    sizes = {} if groups is None else {"kv_heads": groups}

    def theirs(query, key, value, output, *others):
        *others, x = others
        weights = names(query, key, value, output) | dict(
            zip([name for name, _ in more], others, strict=True)
        )
        made = module(heads=heads, causal=causal, **sizes, **options)
        return load(made, weights, x[None], **call(x))[0]

    def of_jattn(query, key, value, output, *others):
        return ours(jattn.MultiHeadParams(query, key, value, output), *others)

    text = ", ".join(f"{name}={value}" for name, value in options.items())
    draws = (*maps(heads, groups), *(draw for _, draw in more), X)
    return entry(mechanism, f"Attention({text})", draws, of_jattn, theirs, note, differs)


def plain(params, x, **options):
    return jattn.multi_head_attention(params, x, x, x, mask=CAUSAL, **options).context


def with_normalizer(normalizer, **options):
    return lambda params, x: plain(params, x, normalizer=partial(normalizer, **options))


def sinks(params, scores, x):
    return plain(params, x, sinks=scores)


def gated(params, gate, x):
    gate = gate.reshape(HEADS, -1, FEATURES)
    gate = gate[:, 0] if gate.shape[1] == 1 else gate
    return jattn.gated_attention(jattn.GatedParams(params, gate), x, x, x, mask=CAUSAL).context


def cosines(strength, params, *scales):
    """Attention by cosines, for one head's factors that all heads share."""
    *factors, x = scales
    made = jattn.QueryKeyNormParams(params, jnp.asarray(strength), *factors)
    return jattn.query_key_norm_attention(made, x, x, x, mask=CAUSAL).context


def one_scale(query, key, value, output, query_scale, key_scale, x):
    params = jattn.MultiHeadParams(query, key, value, output)
    return cosines(SIZE**-0.5, params, query_scale, key_scale, x)


def one_scale_of_theirs(query, key, value, output, query_scale, key_scale, x):
    weights = names(query, key, value, output)
    for part, scale in (("q", query_scale), ("k", key_scale)):
        weights[f"qk_norm_{part}_scale"] = scale.expand(HEADS, 1, SIZE)
    return load(module(qk_norm=True, qk_norm_dim_scale=True), weights, x[None])[0]


def talking(of_logits):
    def ours(params, logits, weights, x):
        logits, weights = logits[:, :, 0, 0], weights[:, :, 0, 0]
        heads = jattn.TalkingHeadsParams(
            params.query_weight,
            params.key_weight,
            params.value_weight,
            params.output_weight,
            of_logits(logits),
            weights,
        )
        return jattn.talking_heads_attention(heads, x, x, x, mask=CAUSAL).context

    return ours


def residual(*arrays):
    """The values of the first layer are those of this one's own map of other features."""
    params, x = jattn.MultiHeadParams(*arrays[:4]), arrays[4]
    first = jattn.value_heads(params, jnp.sin(x))
    shares_of = jattn.ValueResidualParams(params, jnp.full(2, 0.5))
    return jattn.value_residual_attention(shares_of, x, x, x, first, mask=CAUSAL).context


def residual_of_theirs(query, key, value, output, x):
    first = torch.einsum("gud,sd->gsu", value, torch.sin(x))[None]
    return load(module(), names(query, key, value, output), x[None], value_residual=first)[0]


def projected(params, x):
    """Returns query, key and value of the first head."""
    return [x @ weight[0].T for weight in params[:3]]


def first_head(attend):
    """Computes one head by a function of its query, key and value."""
    return lambda params, *rest: (
        attend(*rest[:-1], *projected(params, rest[-1])) @ (params.output_weight[:, 0].T)
    )


def contextual(table, query, key, value):
    return jattn.contextual_position_attention(table, query, key, value, mask=CAUSAL).context


def laser(query, key, value):
    return jattn.laser_attention(query, key, value, mask=CAUSAL).context


def selective(params, x):
    query, key, _ = projected(params, x)
    bias = jattn.selective_bias(query @ key.T * SIZE**-0.5)
    return plain(params, x, bias=bias)


def forgetting(params, weight, bias, x):
    gates = jax.nn.log_sigmoid(x @ weight.T + bias[None])
    return plain(params, x, bias=jnp.stack([jattn.forgetting_bias(of) for of in gates.T]))


def clipped(query, key, largest):
    params = jattn.MultiHeadParams(query, key, jnp.zeros((2, 1, 1)), jnp.zeros((1, 2, 1)))
    return jattn.clip_query_key(params, largest, threshold=1.0)[:2]


def clipped_of_theirs(query, key, largest):
    """Changes the weights in place, so there is no gradient."""
    made = library.Attention(HEADS * SIZE, dim_head=SIZE, heads=HEADS).double()
    weights = torch.tensor(query), torch.tensor(key)
    made.to_q.weight.data, made.to_k.weight.data = (weight.flatten(0, 1) for weight in weights)
    made.qk_clip_(torch.tensor(largest)[None, :, None, None], tau=1.0)
    changed = made.to_q.weight.data, made.to_k.weight.data
    return [weight.numpy().reshape(query.shape) for weight in changed]


def inverted(query, key, value):
    return jattn.slot_attention(query, key, value, epsilon=0.0).context


def latent(query_down, key_down, query_up, key_up, value_up, output, x):
    """Without rotated features, which are none here."""
    none = jnp.zeros((HEADS, 0, query_down.shape[0])), jnp.zeros((0, FEATURES))
    params = jattn.LatentParams(
        query_down, query_up, none[0], key_down, key_up, none[1], value_up, output
    )
    return jattn.latent_attention(params, x, x, mask=CAUSAL).context


def latent_of_theirs(query_down, key_down, query_up, key_up, value_up, output, x):
    options = {"use_latent_q": True, "dim_latent_q": 3, "use_latent_kv": True, "dim_latent_kv": 5}
    weights = names(query_up, key_up, value_up, output)
    weights |= {"to_latent_q.weight": query_down, "to_latent_kv.weight": key_down}
    return load(module(**options), weights, x[None])[0]


def regrouped(params, x):
    """The query heads of a group are apart, every other one."""
    order = np.arange(4).reshape(2, 2).T.reshape(-1)
    query, output = params.query_weight[order], params.output_weight[:, order]
    return plain(params._replace(query_weight=query, output_weight=output), x)


ONE: dict[str, Any] = {"heads": 1}
GATE = "to_v_gate.weight"
TALK = [
    (f"attend.{part}_softmax_talking_heads.weight", normal(HEADS, HEADS, 1, 1))
    for part in ("pre", "post")
]
BOTH = {"pre_talking_heads": True, "post_talking_heads": True}
FORGET = [
    ("data_dependent_alibi.to_forget_gates.0.weight", normal(HEADS, FEATURES)),
    ("data_dependent_alibi.to_forget_gates.0.bias", normal(HEADS)),
]
GROUPED = "query heads reordered: those of a group are apart"
ENTRIES = [
    attention("multi_head_attention", {}, plain),
    attention("multi_head_attention", {}, regrouped, heads=4, groups=2,
              note=f"4 heads in 2 groups; {GROUPED}"),
    attention("multi_head_attention", {"head_learned_sink": True}, sinks,
              more=[("attend.head_attn_sink", normal(HEADS))]),
    attention("multi_head_attention", {"softclamp_logits": True, "logit_softclamp_value": 1.5},
              partial(plain, logits_soft_cap=1.5)),
    attention("gated_attention", {"gate_values": True}, gated,
              more=[(GATE, normal(HEADS * SIZE, FEATURES))]),
    attention("gated_attention", {"gate_values": True, "gate_values_headwise": True}, gated,
              more=[(GATE, normal(HEADS, FEATURES))]),
    attention("query_key_norm_attention", {"qk_norm": True}, partial(cosines, 10.0),
              note="strength 10"),
    entry("query_key_norm_attention", "Attention(qk_norm=True, qk_norm_dim_scale=True)",
          (*maps(), normal(SIZE), normal(SIZE), X), one_scale, one_scale_of_theirs,
          "strength 1 / √e; all heads have the same factors"),
    attention("talking_heads_attention", BOTH, talking(lambda logits: logits + jnp.eye(HEADS)),
              more=TALK, note="the identity is added to the map of logits"),
    entry("value_residual_attention", "Attention, value_residual", (*maps(), X), residual,
          residual_of_theirs, "both shares are one half"),
    attention("contextual_position_attention", {"use_cope": True, "cope_max_pos": 4},
              first_head(contextual), more=[("attend.cope.pos_emb", normal(4, SIZE))], **ONE),
    attention("selective_bias", {"selective": True}, selective,
              note="the selection is the scores of the first head"),
    attention("forgetting_bias", {"data_dependent_alibi": True}, forgetting, more=FORGET),
    attention("laser_attention", {"laser": True, "laser_softclamp_value": 1e5}, first_head(laser),
              note="the soft clamp of values so far away that it clamps nothing", **ONE),
    attention("slot_attention", {"inverted_attention": True}, first_head(inverted), causal=False,
              note="epsilon 0", **ONE),
    entry("latent_attention", "Attention(use_latent_q=True, use_latent_kv=True)",
          (normal(3, FEATURES), normal(5, FEATURES), normal(HEADS, SIZE, 3),
           normal(HEADS, SIZE, 5), normal(HEADS, SIZE, 5), normal(FEATURES, HEADS, SIZE), X),
          latent, latent_of_theirs, "no rotated features"),
    attention("top_k_softmax", {"sparse_topk": 2}, with_normalizer(jattn.top_k_softmax, count=2)),
    attention("straight_through_softmax", {"hard": True},
              with_normalizer(jattn.straight_through_softmax)),
    attention("sigmoid", {"sigmoid": True}, with_normalizer(jattn.normalizers.sigmoid)),
    attention("off_by_one_softmax", {"add_zero_kv": True},
              with_normalizer(jattn.off_by_one_softmax)),
    attention("multi_head_attention", {}, plain, heads=4, groups=2,
              differs="head h reads the keys of head h modulo their number"),
    attention("talking_heads_attention", BOTH, talking(lambda logits: logits), more=TALK,
              differs="the mixed logits are added to the logits"),
    attention("laser_attention", {"laser": True}, first_head(laser), **ONE,
              differs="values are clamped softly at 15"),
    Entry("clip_query_key", "x-transformers", "Attention.qk_clip_",
          (*(normal(HEADS, SIZE, HEADS * SIZE),) * 2, lambda rng: np.array([4.0, 0.5])),
          clipped, by_numpy(clipped_of_theirs), "",
          "scales features of the input, of which there have to be as many, not those of a head"),

    *x_transformers_parts.ENTRIES,
]  # fmt: skip
