"""Keras, on JAX, with layers of float64."""

# pyright: reportMissingImports=false

import os

import jax

os.environ.setdefault("KERAS_BACKEND", "jax")
import keras

import jattn
from experiments.differences.agreement.entry import Entry, normal

QUERIES, KEYS, SIZE, VALUES = 5, 7, 4, 3
Q, K, V = normal(QUERIES, SIZE), normal(KEYS, SIZE), normal(KEYS, VALUES)
