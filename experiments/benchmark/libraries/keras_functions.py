"""Keras on JAX."""

# pyright: reportMissingImports=false

import os

os.environ.setdefault("KERAS_BACKEND", "jax")  # Read when keras is imported.

import jax.numpy as jnp
import keras

from experiments.benchmark.inputs import Arrays
from experiments.benchmark.libraries import jax_calls
from experiments.benchmark.prepared import Prepared
from experiments.benchmark.rows import Row


def attention(row: Row, inputs: Arrays, direction: str) -> Prepared:
    def called(*arrays, **options):
        return keras.ops.dot_product_attention(
            *arrays, attn_logits_soft_cap=row.soft_cap, **options
        )

    return jax_calls.attention(called, row, inputs, direction)


def additive(row: Row, inputs: Arrays, direction: str) -> Prepared:
    """Prepares the layer, which scores projected queries and keys."""
    layer = keras.layers.AdditiveAttention()
    layer.build(
        [(row.shape[0], size, row.shape[4]) for size in (row.shape[1], *[row.shape[2]] * 2)]
    )

    def called(arrays, _fixed):
        params = arrays["params"]
        projected = (
            arrays["query"] @ params.query_weight.T,
            arrays["value"],
            arrays["key"] @ params.key_weight.T,
        )
        state = [variable.value for variable in layer.non_trainable_variables]
        return layer.stateless_call([params.score_weight], state, list(projected))[0]

    arrays = {name: inputs[name] for name in ("params", "query", "key", "value")}
    return jax_calls.prepared(
        called, arrays, None, inputs["cotangent"], direction, named=jax_calls.additive_gradients
    )


def run(layer, params, inputs, **options):
    """Calls the layer; its weights are one list, and a dict's gradient is in alphabetical order."""
    weights = [one[name] for one in params for name in ("kernel", "recurrent_kernel", "bias")]
    state = [variable.value for variable in layer.non_trainable_variables]
    return layer.stateless_call(weights, state, inputs, **options)[0]


def gru(row: Row, inputs: Arrays, direction: str) -> Prepared:
    layer = keras.layers.GRU(row.shape[3], return_sequences=True)
    layer.build(row.shape[:3])

    def called(params, inputs, initial, _lengths):
        return run(layer, params, inputs, initial_state=initial)

    return jax_calls.gru(called, row, inputs, direction, library="keras")


def bidirectional(row: Row, inputs: Arrays, direction: str) -> Prepared:
    layer = keras.layers.Bidirectional(keras.layers.GRU(row.shape[3], return_sequences=True))
    layer.build(row.shape[:3])

    def called(params, inputs, _initial, lengths):
        mask = jnp.arange(inputs.shape[1]) < lengths[:, None]
        return run(layer, params, inputs, mask=mask)

    return jax_calls.gru(called, row, inputs, direction, library="keras")
