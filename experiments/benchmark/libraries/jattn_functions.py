"""jattn itself, called as its users call it."""

from functools import partial

import jax
import numpy as np

import jattn
from experiments.benchmark.inputs import Arrays
from experiments.benchmark.libraries import jax_calls
from experiments.benchmark.prepared import Prepared, gradients
from experiments.benchmark.rows import Row
from jattn import training as train

CHUNK = 32  # Queries of additive attention whose hidden layers are held at once.
SMOOTHING = 0.02  # Of the labels, as in experiments/pronunciation/config.py.
HAS = (*jax_calls.LENGTHS, "local_window_size", "documents", "logits_soft_cap")

transformer = partial(jax_calls.transformer, jattn.engine.attend)


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

    def called(query, key, value, documents=None, **options):
        mask = None if documents is None else jattn.masks.segments(documents)
        return jattn.dot_product_attention(query, key, value, mask=mask, **options)

    return jax_calls.attention(called, row, inputs, direction, HAS)


def additive(_row: Row, inputs: Arrays, direction: str) -> Prepared:
    function = jattn.in_chunks(jattn.additive_attention, CHUNK)

    def called(params, *arrays):
        return jax.vmap(partial(function, params))(*arrays).context

    return jax_calls.additive(called, inputs, direction)


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


def training(_row: Row, inputs: Arrays, direction: str) -> Prepared:
    """Prepares the loss of `experiments.pronunciation`."""

    def loss(params, batch):
        encoder, decoder = params

        def logits(letters, length, before):
            memory = jattn.encode(encoder, letters, length=length)
            return jattn.luong_decode(decoder, memory, before).logits

        scores = jax.vmap(logits)(batch["letters"], batch["letters_length"], batch["before"])
        mask = train.length_mask(batch["labels_length"], batch["labels"].shape[1])
        return train.token_cross_entropy(scores, batch["labels"], mask, label_smoothing=SMOOTHING)

    batch = {name: inputs[name] for name in inputs if name != "params"}
    numbered = lambda tree: {str(i): leaf for i, leaf in enumerate(jax.tree.leaves(tree))}
    named = lambda slopes: gradients(numbered(slopes))
    one = np.ones((), inputs["params"][1].readout.weight.dtype)
    return jax_calls.prepared(loss, inputs["params"], batch, one, direction, named=named)
