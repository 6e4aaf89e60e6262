"""Keras on JAX."""

# pyright: reportMissingImports=false

import os
from functools import partial

os.environ.setdefault("KERAS_BACKEND", "jax")  # Read when keras is imported.

import jax.numpy as jnp
import keras

from experiments.benchmark.inputs import Arrays
from experiments.benchmark.libraries import jax_calls
from experiments.benchmark.prepared import Prepared
from experiments.benchmark.rows import Row

attention = partial(jax_calls.attention, keras.ops.dot_product_attention)


def additive(row: Row, inputs: Arrays, direction: str) -> Prepared:
    """Prepares the layer, which scores projected queries and keys."""
    layer = keras.layers.AdditiveAttention()
    layer.build([(*row.shape[:2], row.shape[4])] * 3)  # The last size is the one that matters.

    def called(params, query, key, value):
        projected = [query @ params.query_weight.T, value, key @ params.key_weight.T]
        state = [variable.value for variable in layer.non_trainable_variables]
        return layer.stateless_call([params.score_weight], state, projected)[0]

    return jax_calls.additive(called, inputs, direction)


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
