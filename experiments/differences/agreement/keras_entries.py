"""Keras on JAX, with layers of float64."""

# pyright: reportMissingImports=false

import os
from functools import partial

os.environ.setdefault("KERAS_BACKEND", "jax")  # Read when keras is imported.

import jax
import jax.numpy as jnp
import keras

import jattn
from experiments.differences.agreement.entry import Entry, normal
from experiments.differences.measures import leaves

QUERIES, KEYS, SIZE, VALUES = 5, 7, 4, 3
VECTORS = normal(QUERIES, SIZE), normal(KEYS, SIZE), normal(KEYS, VALUES)


def entry(mechanism, name, layer, inputs, ours, note):
    """Makes an entry of a layer whose weights come first, then query, key and value."""

    def theirs(*arrays):
        *weights, query, key, value = (array[None] for array in arrays)
        made = layer(dtype="float64")
        made.build([query.shape, value.shape, key.shape])
        state = [variable.value for variable in made.non_trainable_variables]
        weights = [weight[0] for weight in weights]
        return made.stateless_call(weights, state, [query, value, key])[0][0]

    def run(arrays, cotangents):
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            output, pullback = jax.vjp(theirs, *arrays)
            return leaves(output), leaves(pullback(jnp.asarray(cotangents[0])))

    return Entry(mechanism, "keras", f"layers.{name}", inputs, ours, run, note)


def additive(scale, query, key, value):
    """The maps of query and key are the identity."""
    params = jattn.AdditiveParams(jnp.eye(SIZE), jnp.eye(SIZE), scale)
    return jattn.additive_attention(params, query, key, value).context


def scaled(scale, query, key, value):
    return jattn.scaled_dot_product_attention(query, key, value, scale=scale).context


def dot(query, key, value):
    return jattn.dot_attention(query, key, value).context


ENTRIES = [
    entry("additive_attention", "AdditiveAttention", keras.layers.AdditiveAttention,
          (normal(SIZE), *VECTORS), additive,
          "the maps of queries and keys are the identity; in part in float32"),
    entry("scaled_dot_product_attention", "Attention(use_scale=True)",
          partial(keras.layers.Attention, use_scale=True), (normal(), *VECTORS), scaled,
          "the scale is a weight"),
    entry("dot_attention", "Attention", keras.layers.Attention, VECTORS, dot, ""),
]  # fmt: skip
