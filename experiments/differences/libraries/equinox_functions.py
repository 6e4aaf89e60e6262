"""Equinox. Its attention comes with projections, which are set to the identity."""

# pyright: reportMissingImports=false

import equinox
import jax
import jax.numpy as jnp

from experiments.differences.conversion import Converted
from experiments.differences.measures import Unsupported, by_jax, converted, identity
from jattn import convert


def loaded(module, weights):
    """The module with other arrays in its fields."""
    for name, value in weights.items():
        value = loaded(getattr(module, name), value) if isinstance(value, dict) else value
        module = equinox.tree_at(lambda tree, name=name: getattr(tree, name), module, value)
    return module


def attention(query, key, value, mask):
    size, dtype = query.shape[-1], query.dtype
    module = equinox.nn.MultiheadAttention(1, size, key=jax.random.key(0), dtype=dtype)
    weights = convert.multi_head_to_equinox(identity(size, dtype))
    return loaded(module, weights)(query, key, value, mask=mask)


def gru(weights, inputs, initial, length):
    if length < len(inputs):
        raise Unsupported("takes no lengths")
    made = equinox.nn.GRUCell(inputs.shape[1], initial.size, key=jax.random.key(0))
    cell = loaded(made, weights)

    def step(hidden, inputs):
        hidden = cell(inputs, hidden)
        return hidden, hidden

    final, outputs = jax.lax.scan(step, initial, inputs)
    return outputs, final


def unrolled(weights, inputs):
    return gru(weights, inputs, jnp.zeros(weights["bias_n"].shape), len(inputs))[0]


def heads(weights, query, key, value):
    biased = {f"use_{part}_bias": True for part in ("query", "key", "value", "output")}
    sizes = (query.shape[1], key.shape[1], value.shape[1], 13, 3, 5)
    made = equinox.nn.MultiheadAttention(2, *sizes, **biased, key=jax.random.key(0))
    return loaded(made, weights)(query, key, value)


ATTENTION = {"equinox.nn.MultiheadAttention": by_jax(attention)}
GRU = {"equinox.nn.GRUCell": converted(by_jax(gru).run, "equinox")}
CONVERTED = {
    "equinox.nn.GRUCell": Converted("gru", "equinox", unrolled),
    "equinox.nn.MultiheadAttention": Converted(
        "multi_head", "equinox", heads, reading={"heads": 2}, sizes={"u": 5, "v": 7, "d": 13}
    ),
}
