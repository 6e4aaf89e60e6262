"""The reference of the ONNX standard, which is in NumPy and has no gradients."""

import jax.numpy as jnp
import numpy as np

import jattn
from experiments.differences.agreement.entry import Entry, by_numpy, normal, shares, units
from experiments.differences.libraries.onnx_functions import evaluate
from jattn import linear

STEPS, SIZE, VALUES, HEADS, GROUPS, FEATURES = 6, 4, 3, 4, 2, 8
Q, K, V = normal(STEPS, SIZE), units(STEPS, SIZE), normal(STEPS, VALUES)
NUMBERS, STATE, X = shares(STEPS), normal(SIZE, VALUES), normal(STEPS, FEATURES)


def entry(mechanism, function, inputs, ours, theirs, note=""):
    return Entry(mechanism, "onnx", function, inputs, ours, by_numpy(theirs), note)


def recurrence(rule: str, mechanism, inputs, note="scale 1; the reference computes in float32"):
    """Compares LinearAttention, of one head; inputs after the value are strength, decay, state."""

    def theirs(q, k, v, *others):
        *others, state = others
        feeds = {"query": q, "key": k, "value": v, "past_state": state[None]}
        if "delta" in rule:
            feeds["beta"], *others = (others[0][:, None], *others[1:])
        if "gated" in rule:
            decay = np.log(others[0])
            feeds["decay"] = decay if decay.ndim == 2 else decay[:, None]
        feeds = {name: rows[None] for name, rows in feeds.items()}
        order = "query", "key", "value", "past_state", "decay", "beta"
        order = [name if name in feeds else "" for name in order]
        names = ["output", "present_state"]
        options = {"q_num_heads": 1, "kv_num_heads": 1, "scale": 1.0, "update_rule": rule}
        outputs, state = evaluate("LinearAttention", 27, feeds, names, inputs=order, **options)
        return outputs[0], state[0, 0]

    ours = lambda *arrays: mechanism(*arrays[:-1], initial=arrays[-1])
    name = f'LinearAttention(update_rule="{rule}")'
    return entry(mechanism.__name__, name, (*inputs, STATE), ours, theirs, note)


def turned(interleaved: bool):
    def theirs(x):
        angles = np.arange(STEPS)[:, None] * jattn.rotary_frequencies(FEATURES)
        feeds = {"X": x[None, None], "cos": np.cos(angles), "sin": np.sin(angles)}
        feeds["positions"] = np.arange(STEPS)[None]
        return evaluate("RotaryEmbedding", 23, feeds, ["Y"], interleaved=interleaved)[0][0, 0]

    turn = jattn.rotary if interleaved else jattn.half_split_rotary
    name = f"RotaryEmbedding(interleaved={int(interleaved)})"
    ours = lambda x: turn(x, jnp.arange(STEPS))
    return entry("rotary", name, (X,), ours, theirs, turn.__name__)


def heads(query, key, value, output, x):
    params = jattn.MultiHeadParams(query, key, value, output)
    options = {"mask": jattn.masks.causal(), "logits_soft_cap": 1.5}
    return jattn.multi_head_attention(params, x, x, x, **options).context


def heads_of_theirs(query, key, value, output, x):
    maps = zip("QKV", (query, key, value), strict=True)
    feeds = {name: np.einsum("heq,tq->hte", weight, x)[None] for name, weight in maps}
    (context,) = evaluate("Attention", 24, feeds, ["Y"], is_causal=1, softcap=1.5)
    return np.einsum("dhu,htu->td", output, context[0])


def rms(scale, x):
    return jattn.rms_norm(jattn.RMSNormParams(scale), x, epsilon=2.0**-20)


def rms_of_theirs(scale, x):
    feeds = {"X": x, "scale": scale}
    return evaluate("RMSNormalization", 23, feeds, ["Y"], epsilon=2.0**-20)[0]


def layer(scale, bias, x):
    return jattn.layer_norm(jattn.LayerNormParams(scale, bias), x, epsilon=2.0**-16)


def layer_of_theirs(scale, bias, x):
    feeds = {"X": x, "Scale": scale, "B": bias}
    return evaluate("LayerNormalization", 17, feeds, ["Y"], epsilon=2.0**-16)[0]


def plain_linear(q, k, v, *, initial):
    return linear.delta_rule(q, k, v, initial=initial)


plain_linear.__name__ = "delta_rule"
ENTRIES = [
    recurrence("linear", plain_linear, (Q, K, V)),
    recurrence("gated", linear.gated_linear_attention, (Q, K, V, shares(STEPS, SIZE)),
               "scale 1; the logarithm of the decay; in float32"),
    recurrence("delta", linear.delta_net, (Q, K, V, NUMBERS)),
    recurrence("gated_delta", linear.gated_delta_net, (Q, K, V, NUMBERS, NUMBERS),
               "scale 1; the logarithm of the decay; in float32"),
    recurrence("gated_delta", linear.kimi_delta_attention,
               (Q, K, V, NUMBERS, shares(STEPS, SIZE)),
               "scale 1; the logarithm of the decay of each feature; in float32"),
    turned(interleaved=True),
    turned(interleaved=False),
    entry("multi_head_attention", "Attention(softcap=1.5, is_causal=1)",
          (normal(HEADS, SIZE, FEATURES), normal(GROUPS, SIZE, FEATURES),
           normal(GROUPS, VALUES, FEATURES), normal(FEATURES, HEADS, VALUES), X),
          heads, heads_of_theirs, "projections before and after it; 4 heads in 2 groups"),
    entry("rms_norm", "RMSNormalization", (normal(FEATURES), X), rms, rms_of_theirs,
          "epsilon 2⁻²⁰: an option is of float32"),
    entry("layer_norm", "LayerNormalization", (normal(FEATURES), normal(FEATURES), X), layer,
          layer_of_theirs, "epsilon 2⁻¹⁶: an option is of float32"),
]  # fmt: skip
