"""flash-linear-attention: its reference functions in PyTorch, without its kernels.

The package imports Triton, so each module of a reference is loaded by itself from its file. The
functions cast to float32; here their casts are to float64.
"""

# pyright: reportMissingImports=false

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import jax.numpy as jnp
import torch

import jattn
from experiments.differences.agreement.entry import Entry, normal, shares, units
from experiments.differences.agreement.torch_run import by_torch
from jattn import linear

STEPS, SIZE, VALUES, EACH = 6, 4, 3, 2
ROOT = SIZE**0.5
Q, V = normal(STEPS, SIZE), normal(STEPS, VALUES)
K, DECAYS, NUMBERS = units(STEPS, SIZE), shares(STEPS, SIZE), shares(STEPS)
STATE = normal(SIZE, VALUES)
SCALED = "queries times the root of their size, by which fla divides them"
LOGARITHM = f"{SCALED}; the logarithm of the decay"


def reference(name: str) -> ModuleType:
    """Loads `fla/ops/<name>.py` alone: importing the package would import Triton."""
    found = importlib.util.find_spec("fla")
    if found is None or not found.submodule_search_locations:
        raise ImportError("fla is not installed")
    path = Path(found.submodule_search_locations[0], "ops", f"{name}.py")
    spec: Any = importlib.util.spec_from_file_location(f"fla_{name.replace('/', '_')}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def entry(mechanism, module, function, inputs, ours, theirs, note=SCALED, differs=""):
    """Makes an entry whose `theirs` takes fla's function first."""
    call = getattr(reference(f"{module}/naive"), function)
    run = by_torch(lambda *tensors: theirs(call, *tensors), casts=True)
    name = f"fla.ops.{module.replace('/', '.')}.naive.{function}"
    return Entry(mechanism, "fla-core", name, inputs, ours, run, note, differs)


def time_first(*tensors):
    """Adds axes of batch and head: [t ...] to [1 t 1 ...]."""
    return [tensor[None, :, None] for tensor in tensors]


def head_first(*tensors):
    """Adds axes of batch and head: [t ...] to [1 1 t ...]."""
    return [tensor[None, None] for tensor in tensors]


def with_state(mechanism):
    """Takes the initial state as an array, after the others."""
    return lambda *arrays: mechanism(*arrays[:-1], initial=arrays[-1])


def state_of(outputs, state):
    return outputs[0, :, 0], state[0, 0]


def state_of_heads(outputs, state):
    return outputs[0, 0], state[0, 0]


def gated(call, q, k, v, decay, state):
    arrays = time_first(q * ROOT, k, v, decay.log())
    return state_of(*call(*arrays, initial_state=state[None, None], output_final_state=True))


def hgrn2(call, q, v, forget, state):
    return gated(call, q, 1.0 - forget, v, forget, state)


def retention(q, k, v):
    """The first head of fla has the decay 1 - 2 ** -5."""
    return linear.retention(q, k, v, jnp.asarray(1.0 - 2.0**-5)).outputs


def simple(call, q, k, v, decay, state):
    arrays = time_first(q, k, v, decay.log())
    return state_of(*call(*arrays, scale=1.0, initial_state=state[None, None]))


def scalar_gated(q, k, v, decay, state):
    return linear.delta_rule(q, k, v, decay=decay[:, None], initial=state)


def fixed(call, q, k, v, decay, state):
    return simple(call, q, k, v, decay.expand(STEPS), state)


def duals(call, q, k, v, step, rate, state):
    arrays = time_first(q, step[:, None] * k, v, -step * rate)
    return state_of(*call(*arrays, scale=1.0, initial_state=state[None, None]))


def linear_attention(call, q, k, v, state, key_sum):
    features = lambda x: torch.nn.functional.elu(x) + 1.0
    arrays = time_first(features(q), features(k), v)
    start = state[None, None], key_sum[None, None, None]
    options = {"initial_state": start, "normalize": True, "output_final_state": True}
    outputs, (state, key_sum) = call(*arrays, **options)
    return outputs[0, :, 0], state[0, 0], key_sum[0, 0, 0]


def linear_attention_of_jattn(q, k, v, state, key_sum):
    return linear.linear_attention(q, k, v, initial=state, initial_key_sum=key_sum)


def delta(call, q, k, v, strength, state):
    arrays = head_first(q * ROOT, k, v, strength)
    return state_of_heads(*call(*arrays, initial_state=state[None, None]))


def gated_delta(call, q, k, v, strength, decay, state):
    arrays = time_first(q, k, v, strength, decay.log())
    options = {"initial_state": state[None, None], "output_final_state": True}
    return state_of(*call(*arrays, scale=1.0, **options))


def kimi(call, q, k, v, strength, decay, state):
    arrays = time_first(q, k, v, decay.log(), strength)
    options = {"initial_state": state[None, None], "output_final_state": True}
    return state_of(*call(*arrays, scale=1.0, **options))


def dplr(call, q, k, v, decay, removal, rate, state):
    arrays = head_first(q * ROOT, k, v, -removal, rate * removal, decay.log())
    return state_of_heads(*call(*arrays, initial_state=state[None, None]))


def general(call, q, k, v, decay, erase, write, state):
    arrays = head_first(q * ROOT, k, v, -write, erase, decay.log())
    return state_of_heads(*call(*arrays, initial_state=state[None, None]))


def general_of_jattn(q, k, v, decay, erase, write, state):
    return linear.delta_rule(q, k, v, decay=decay, erase=erase, write=write, initial=state)


def product(call, q, k, v, strength, state):
    flat = [rows.flatten(0, 1) for rows in (k, v, strength)]
    q, k, v, strength = time_first(q, *flat)
    options = {"initial_state": state[None, None], "num_householder": EACH}
    return state_of(*call(q, k, v, None, strength, 1.0, **options))


def forgetting(call, q, k, v, log_forget):
    return call(*time_first(q, k, v, log_forget))[0, :, 0]


def forgetting_of_jattn(q, k, v, log_forget):
    bias = jattn.forgetting_bias(log_forget)
    mask = jattn.masks.causal()
    return jattn.scaled_dot_product_attention(q, k, v, mask=mask, bias=bias).context


def stick(call, q, k, v):
    return call(*time_first(q, k, v))[0][0, :, 0]


def stick_of_jattn(q, k, v):
    weights = jattn.alignment.stick_breaking(q @ k.T / ROOT, jattn.masks.causal(-1))
    return weights @ v


def sink(call, q, k, v, score):
    return call(*time_first(q, k, v), sink_bias=score)[0][0, :, 0]


def sink_of_jattn(q, k, v, score):
    """One head, whose maps are the identity."""
    identity = jnp.eye(SIZE)[None]
    of_values = jnp.eye(VALUES)
    params = jattn.MultiHeadParams(identity, identity, of_values[None], of_values[:, None])
    options = {"mask": jattn.masks.causal(), "sinks": score}
    return jattn.multi_head_attention(params, q, k, v, **options).context


DELTA = (Q, K, V, NUMBERS, STATE)
REMOVAL = (Q, normal(STEPS, SIZE), V, DECAYS, K, DECAYS, STATE)
ENTRIES = [
    entry("retention", "retention", "naive_retention", (Q, K, V), retention,
          lambda call, *x: call(*head_first(*x))[0, 0] * ROOT,
          "outputs times the root of the queries' size; the decay of the first head"),
    entry("retention", "simple_gla", "naive_recurrent_simple_gla",
          (Q, K, V, shares(), STATE), with_state(linear.retention), fixed,
          "one decay for all steps"),
    entry("delta_rule", "simple_gla", "naive_recurrent_simple_gla",
          (Q, K, V, NUMBERS, STATE), scalar_gated, simple, "the logarithm of the decay"),
    entry("delta_rule", "generalized_delta_rule/dplr", "dplr_recurrence",
          (Q, K, V, DECAYS, normal(STEPS, SIZE), K, STATE), general_of_jattn, general,
          f"{LOGARITHM}; alpha is minus `write`, beta is `erase`"),
    entry("gated_linear_attention", "gla", "naive_recurrent_gla",
          (Q, K, V, DECAYS, STATE), with_state(linear.gated_linear_attention), gated, LOGARITHM),
    entry("hgrn2", "gla", "naive_recurrent_gla",
          (Q, V, DECAYS, STATE), with_state(linear.hgrn2), hgrn2,
          f"{LOGARITHM}; keys are one minus the forget gates, as fla's layer has them"),
    entry("linear_attention", "linear_attn", "naive_recurrent_linear_attn",
          (Q, Q, V, STATE, shares(SIZE)), linear_attention_of_jattn, linear_attention,
          "features elu + 1 of queries and keys; fla adds 1e-10 to the denominator"),
    entry("delta_net", "delta_rule", "delta_rule_recurrence",
          DELTA, with_state(linear.delta_net), delta),
    entry("gated_delta_net", "gated_delta_rule", "naive_recurrent_gated_delta_rule",
          (*DELTA[:4], NUMBERS, STATE), with_state(linear.gated_delta_net), gated_delta,
          "scale 1; the logarithm of the decay"),
    entry("kimi_delta_attention", "kda", "naive_recurrent_kda",
          (*DELTA[:4], DECAYS, STATE), with_state(linear.kimi_delta_attention), kimi,
          "scale 1; the logarithm of the decay"),
    entry("delta_product", "gated_delta_product", "naive_recurrent_gated_delta_product",
          (Q, units(STEPS, EACH, SIZE), normal(STEPS, EACH, VALUES), shares(STEPS, EACH), STATE),
          with_state(linear.delta_product), product, "scale 1; keys of a step one after another"),
    entry("rwkv7", "generalized_delta_rule/dplr", "dplr_recurrence", REMOVAL,
          with_state(linear.rwkv7), dplr,
          f"{LOGARITHM}; alpha is minus the removal key, beta the rate times it, as fla's layer"),
    entry("state_space_dual", "simple_gla", "naive_recurrent_simple_gla",
          (Q, K, V, NUMBERS, shares(), STATE), with_state(linear.state_space_dual), duals,
          "keys times the step, and minus step times rate as the logarithm of the decay"),
    entry("forgetting_bias", "forgetting_attn", "naive_forgetting_attn",
          (Q, K, V, lambda rng: -shares(STEPS)(rng)), forgetting_of_jattn, forgetting, ""),
    entry("stick_breaking", "stickbreaking_attn", "naive_stickbreaking_attn",
          (Q, Q, V), stick_of_jattn, stick, "a mask of the keys before the query"),
    entry("multi_head_attention", "attn", "naive_parallel_attn",
          (Q, Q, V, normal(1)), sink_of_jattn, sink, "one head, with its sink"),
    entry("sinkhorn", "utils/sinkhorn", "naive_sinkhorn", (normal(5, 5),),
          lambda scores: jattn.sinkhorn(scores.T, steps=8).T,
          lambda call, scores: call(scores, num_iters=4),
          "transposed; an iteration is two steps, columns first"),
    entry("sinkhorn", "utils/sinkhorn", "naive_sinkhorn", (normal(5, 5),),
          lambda scores: jattn.sinkhorn(scores, steps=4),
          lambda call, scores: call(scores, num_iters=2), "",
          "columns first, and two steps an iteration"),
    entry("delta_net", "delta_rule", "delta_rule_recurrence", DELTA,
          with_state(linear.delta_net),
          lambda call, q, *others: delta(call, q / ROOT, *others), "",
          "queries are divided by the root of their size, with no option"),
    entry("rwkv7", "generalized_delta_rule/dplr", "dplr_recurrence", REMOVAL,
          lambda q, k, v, decay, removal, rate, state: linear.rwkv7(
              q, k, v, decay, removal, rate, initial=state),
          lambda call, q, k, v, decay, removal, rate, state: dplr(
              call, q / ROOT, k, v, decay, removal, rate, state), "",
          "queries are divided by the root of their size, with no option"),
]  # fmt: skip
