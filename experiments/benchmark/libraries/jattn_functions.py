"""jattn itself, called as its users call it."""

from functools import partial
from typing import Any

import jax
import optax

import jattn
from experiments.benchmark.inputs import Arrays
from experiments.benchmark.libraries import jax_calls
from experiments.benchmark.prepared import Prepared, gradients
from experiments.benchmark.rows import Row
from experiments.benchmark.training_step import CLIPPED_AT, DECAY, RATE, SMOOTHING
from jattn import training as train

CHUNK = 32  # Queries of additive attention whose hidden layers are held at once.


def decode(inputs: Arrays, direction: str) -> Prepared:
    """Prepares one query against a full cache, which is filled before timing."""
    key, value = inputs["key"], inputs["value"]
    b, s, g, k = key.shape
    cache = jattn.init_cache(
        b, capacity=s, key_value_heads=g, key_size=k, value_size=value.shape[-1], dtype=key.dtype
    )
    cache = jax.jit(jattn.extend_cache)(cache, key, value)
    called = lambda arrays, cache: jattn.attend_to_cache(arrays["query"], cache)
    arrays = {"query": inputs["query"]}
    return jax_calls.prepared(called, arrays, cache, inputs["cotangent"], direction)


def attention(row: Row, inputs: Arrays, direction: str) -> Prepared:
    if row.keys:
        return decode(inputs, direction)
    options: dict[str, Any] = {"is_causal": row.causal}
    if row.window is not None:
        options["local_window_size"] = (row.window, 0)
    if row.soft_cap is not None:
        options["logits_soft_cap"] = row.soft_cap

    def called(arrays, fixed):
        lengths, documents = fixed
        given = dict(options)
        if lengths is not None:
            given |= {"query_seq_lengths": lengths, "key_value_seq_lengths": lengths}
        if documents is not None:
            given["mask"] = jattn.masks.segments(documents)
        if "bias" in arrays:
            given["bias"] = arrays["bias"]
        return jattn.dot_product_attention(arrays["query"], arrays["key"], arrays["value"], **given)

    fixed = inputs.get("lengths"), inputs.get("documents")
    arrays = jax_calls.differentiated(inputs)
    return jax_calls.prepared(called, arrays, fixed, inputs["cotangent"], direction)


def additive(_row: Row, inputs: Arrays, direction: str) -> Prepared:
    function = jattn.in_chunks(jattn.additive_attention, CHUNK)

    def called(arrays, _fixed):
        over_batch = jax.vmap(partial(function, arrays["params"]))
        return over_batch(arrays["query"], arrays["key"], arrays["value"]).context

    arrays = {name: inputs[name] for name in ("params", "query", "key", "value")}
    return jax_calls.prepared(
        called, arrays, None, inputs["cotangent"], direction, named=jax_calls.additive_gradients
    )


def gru(row: Row, inputs: Arrays, direction: str) -> Prepared:
    def called(params, inputs, initial, _lengths):
        one = lambda inputs, initial: jattn.gru(params[0], inputs, initial=initial).outputs
        return jax.vmap(one)(inputs, initial)

    return jax_calls.gru(called, row, inputs, direction)


def bidirectional(row: Row, inputs: Arrays, direction: str) -> Prepared:
    def called(params, inputs, _initial, lengths):
        params = jattn.BidirectionalGRUParams(*params)
        one = lambda inputs, length: jattn.bidirectional_gru(params, inputs, length=length).outputs
        return jax.vmap(one)(inputs, lengths)

    return jax_calls.gru(called, row, inputs, direction)


def loss(params, batch, input_feeding: bool):
    """Computes the loss of `experiments.pronunciation`."""
    encoder, decoder = params

    def logits(letters, length, before):
        memory = jattn.encode(encoder, letters, length=length)
        return jattn.luong_decode(decoder, memory, before, input_feeding=input_feeding).logits

    scores = jax.vmap(logits)(batch["letters"], batch["letters_length"], batch["before"])
    mask = train.length_mask(batch["labels_length"], batch["labels"].shape[1])
    return train.token_cross_entropy(scores, batch["labels"], mask, label_smoothing=SMOOTHING)


def training(row: Row, inputs: Arrays, _direction: str) -> Prepared:
    params, batch = jax.device_put(
        (inputs["params"], {name: inputs[name] for name in inputs if name != "params"})
    )
    own_loss = partial(loss, input_feeding=row.input_feeding)
    optimizer = optax.chain(optax.clip_by_global_norm(CLIPPED_AT), optax.adam(RATE, b2=DECAY))

    def step(state, batch):
        params, moments = state
        value, slope = jax.value_and_grad(own_loss)(params, batch)
        updates, moments = optimizer.update(slope, moments)
        return (optax.apply_updates(params, updates), moments), value

    # Copies, since each step gives its arrays to the next one.
    state = jax.tree.map(lambda leaf: leaf.copy(), (params, optimizer.init(params)))
    compiled = []

    def call():
        nonlocal state
        state, value = compiled[0](state, batch)
        return jax.block_until_ready(value)

    def result(_value):
        value, slope = jax.jit(jax.value_and_grad(own_loss))(params, batch)
        return {"output": value, **gradients(jax_calls.leaves(slope))}

    lowered = lambda: jax.jit(step, donate_argnums=0).lower(state, batch)
    return Prepared(call, result, lambda: compiled.append(lowered().compile()))
