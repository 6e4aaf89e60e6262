"""Keras on JAX."""

# pyright: reportMissingImports=false

import os

os.environ.setdefault("KERAS_BACKEND", "jax")  # Read when keras is imported.

import jax.numpy as jnp
import keras

from experiments.differences.conversion import Converted
from experiments.differences.measures import by_jax, converted, of_scores, one_head
from jattn import reset_before_gru_cell


def stateless(layer, weights, *inputs, **options):
    """The layer called with other weights, which stand in its own order."""
    state = [variable.value for variable in layer.non_trainable_variables]
    return layer.stateless_call(weights, state, *inputs, **options)[0]


def gru(weights, inputs, initial, length, **options):
    layer = keras.layers.GRU(
        initial.size, return_sequences=True, return_state=True, dtype="float64", **options
    )
    layer.build((1, *inputs.shape))
    # By name: differentiated, a dict comes back in the order of the alphabet.
    ordered = [weights[variable.name] for variable in layer.trainable_variables]
    mask = jnp.arange(len(inputs))[None] < length
    outputs, final = stateless(layer, ordered, inputs[None], initial_state=initial[None], mask=mask)
    return outputs[0], final[0]


def unrolled(weights, inputs, **options):
    units = len(weights["recurrent_kernel"])
    return gru(weights, inputs, jnp.zeros(units), len(inputs), **options)[0]


def both(weights, inputs):
    units = len(weights["forward_layer"]["recurrent_kernel"])
    layer = keras.layers.Bidirectional(
        keras.layers.GRU(units, return_sequences=True, dtype="float64"), dtype="float64"
    )
    layer.build((1, *inputs.shape))
    ordered = [
        weights[side][variable.name]
        for side in ("forward_layer", "backward_layer")
        for variable in getattr(layer, side).trainable_variables
    ]
    return stateless(layer, ordered, inputs[None])[0]


def run_heads(layer, weights, query, key, value):
    layer.build(*((1, *array.shape) for array in (query, value, key)))
    named = {
        f"{part}/{name}": array for part, pair in weights.items() for name, array in pair.items()
    }
    ordered = [
        named["/".join(variable.path.split("/")[-2:])] for variable in layer.trainable_variables
    ]
    return stateless(layer, ordered, query[None], value[None], key[None])[0]


def heads(weights, query, key, value):
    layer = keras.layers.MultiHeadAttention(2, 3, output_shape=13, dtype="float64")
    return run_heads(layer, weights, query, key, value)


def grouped(weights, query, key, value):
    layer = keras.layers.GroupQueryAttention(3, 6, 3, dtype="float64")
    return run_heads(layer, weights, query, key, value)


ATTENTION = {"keras.ops.dot_product_attention": one_head(keras.ops.dot_product_attention)}
NORMALIZERS = {"keras.ops.softmax": of_scores(keras.ops.softmax)}
GRU = {"keras.layers.GRU": converted(by_jax(gru).run, "keras")}
CONVERTED = {
    "keras.layers.GRU": Converted("gru", "keras", unrolled),
    "keras.layers.GRU(reset_after=False)": Converted(
        "gru",
        "keras",
        lambda *arrays: unrolled(*arrays, reset_after=False),
        options={"cell": reset_before_gru_cell},
    ),
    "keras.layers.Bidirectional(GRU)": Converted("bidirectional_gru", "keras", both),
    "keras.layers.MultiHeadAttention": Converted(
        "multi_head", "keras", heads, sizes={"v": 7, "d": 13}
    ),
    "keras.layers.GroupQueryAttention": Converted(
        "multi_head", "keras", grouped, sizes={"h": 6, "g": 3, "v": 7}
    ),
}
