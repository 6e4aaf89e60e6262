"""x-transformers: position biases, rotations, norms and a network."""

# pyright: reportMissingImports=false

from functools import partial

import jax.numpy as jnp
import numpy as np
import torch
import x_transformers.x_transformers as library

import jattn
from experiments.differences.agreement.entry import Entry, normal
from experiments.differences.agreement.torch_run import by_torch, load
from jattn import biases

LENGTH, FEATURES = 6, 7
X = normal(LENGTH, FEATURES)


def entry(mechanism, function, inputs, ours, theirs, note="", differs=""):
    run = by_torch(theirs, casts=True)
    return Entry(mechanism, "x-transformers", function, inputs, ours, run, note, differs)


def turned(use_xpos=False):
    def theirs(x):
        freqs, scale = library.RotaryEmbedding(8, use_xpos=use_xpos)(torch.arange(len(x)))
        keys = library.apply_rotary_pos_emb(x[None], freqs, scale**-1.0)
        return library.apply_rotary_pos_emb(x[None], freqs, scale)[0], keys[0]

    return theirs


def xpos(centre):
    def ours(x):
        turn = partial(jattn.xpos, positions=jnp.arange(len(x)), centre=centre)
        return turn(x), turn(x, inverse=True)

    return ours


def rotary(x):
    turn = jattn.rotary(x, jnp.arange(len(x)))
    return turn, turn


def t5(causal):
    def theirs(table):
        options = {"num_buckets": 8, "max_distance": 16, "heads": 2}
        made = library.RelativePositionBias(1.0, causal=causal, **options)
        return load(made, {"relative_attention_bias.weight": table}, 20, 20)

    ours = lambda table: biases.t5(table, bidirectional=not causal, max_distance=16).dense(20, 20)
    text = f"RelativePositionBias(causal={causal})"
    return entry("t5", text, (normal(8, 2),), ours, theirs)


def alibi(slopes):
    return biases.alibi(slopes).dense(5, 8, offset=3)


def alibi_of_theirs(slopes):
    made = library.AlibiPositionalBias(6)
    assert torch.equal(made.slopes[:, 0, 0].double(), slopes.detach())
    return torch.func.functional_call(made, {"slopes": slopes[:, None, None]}, (5, 8))


def six_slopes(rng):
    return np.asarray(biases.alibi_slopes(6), np.float64)


def gated_network(weight, bias, output, x):
    """The bias makes hidden units and gates of one more feature, which is 1."""
    hidden, gate = jnp.split(jnp.concatenate([weight, bias[:, None]], 1), 2)
    wider = jnp.concatenate([x, jnp.ones((len(x), 1))], 1)
    padded = jnp.pad(output, ((0, 1), (0, 0)))
    params = jattn.GatedFeedForwardParams(gate, hidden, padded)
    return jattn.gated_feed_forward(params, wider)[:, :-1]


def gated_network_of_theirs(weight, bias, output, x):
    made = library.FeedForward(FEATURES, mult=2, glu=True, swish=True, no_bias=True)
    weights = {"ff.0.proj.weight": weight, "ff.0.proj.bias": bias, "ff.2.weight": output}
    return load(made, weights, x[None])[0]


def norm(made, name, epsilon):
    params = {"rms_norm": jattn.RMSNormParams, "layer_norm": jattn.LayerNormParams}[name]
    ours = lambda scale, x: getattr(jattn, name)(params(scale), x, epsilon=epsilon)
    parameter = {"rms_norm": "g", "layer_norm": "gamma"}[name]
    theirs = lambda scale, x: load(made(FEATURES), {parameter: scale}, x)
    return entry(name, made.__name__, (normal(FEATURES), X), ours, theirs, f"epsilon {epsilon:g}")


ENTRIES = [
    entry("rotary", "RotaryEmbedding, apply_rotary_pos_emb", (normal(LENGTH, 8),), rotary,
          turned()),
    entry("xpos", "RotaryEmbedding(use_xpos=True)", (normal(LENGTH, 8),), xpos(LENGTH // 2),
          turned(use_xpos=True), "the centre is half the length"),
    t5(causal=True),
    t5(causal=False),
    entry("alibi", "AlibiPositionalBias", (six_slopes,), alibi, alibi_of_theirs),
    entry("sinkhorn", "sinkhorn", (normal(5, 5),),
          lambda scores: jattn.sinkhorn(scores.T, steps=7).T,
          lambda scores: library.sinkhorn(scores, iters=3),
          "transposed; 1 + 2 iterations steps, columns first"),
    entry("gated_feed_forward", "FeedForward(glu=True, swish=True)",
          (normal(4 * FEATURES, FEATURES), normal(4 * FEATURES), normal(FEATURES, 2 * FEATURES), X),
          gated_network, gated_network_of_theirs, "biases as weights of one more feature"),
    norm(library.RMSNorm, "rms_norm", 0.0),
    norm(library.LayerNorm, "layer_norm", 1e-5),
    entry("xpos", "RotaryEmbedding(use_xpos=True)", (normal(LENGTH, 8),), xpos(0.0),
          turned(use_xpos=True), "", "the centre moves with the length"),
]  # fmt: skip
