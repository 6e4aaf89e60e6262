"""Keras on JAX."""

# pyright: reportMissingImports=false

import os

os.environ.setdefault("KERAS_BACKEND", "jax")  # Read when keras is imported.

import jax.numpy as jnp
import keras

from experiments.differences.measures import by_jax, one_head
from experiments.gru_weights import side_by_side, update_first


def gru(params, inputs, initial, length):
    layer = keras.layers.GRU(
        initial.size, return_sequences=True, return_state=True, dtype="float64"
    )
    layer.build((1, *inputs.shape))
    params = update_first(params)
    weights = [
        side_by_side(params.input_weight),
        side_by_side(params.hidden_weight),
        jnp.stack([params.input_bias, params.hidden_bias]).reshape(2, -1),
    ]
    (outputs, final), *_ = layer.stateless_call(
        weights,
        [variable.value for variable in layer.non_trainable_variables],
        inputs[None],
        initial_state=initial[None],
        mask=jnp.arange(len(inputs))[None] < length,
    )
    return outputs[0], final[0]


ATTENTION = {"keras.ops.dot_product_attention": one_head(keras.ops.dot_product_attention)}
GRU = {"keras.layers.GRU": by_jax(gru)}
