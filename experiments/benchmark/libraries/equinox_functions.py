"""Equinox. Its attention comes with four projections, which are set to the identity."""

# pyright: reportMissingImports=false

import equinox
import jax
import jax.numpy as jnp

from experiments.benchmark.inputs import Arrays
from experiments.benchmark.libraries import jax_calls
from experiments.benchmark.prepared import Prepared, Unsupported
from experiments.benchmark.rows import Row


def attention(row: Row, inputs: Arrays, direction: str) -> Prepared:
    if row.biased or row.soft_cap is not None or row.key_value_heads:
        raise Unsupported("has no bias, soft cap or grouped heads")
    heads, size = row.shape[2], row.shape[2] * row.shape[3]
    module = equinox.nn.MultiheadAttention(heads, size, key=jax.random.key(0))
    projections = lambda module: [
        getattr(module, f"{name}_proj").weight for name in ("query", "key", "value", "output")
    ]
    module = equinox.tree_at(projections, module, [jnp.eye(size)] * 4)

    def called(query, key, value, mask):
        flat = [array.reshape(*array.shape[:2], size) for array in (query, key, value)]
        mask = None if mask is None else jnp.broadcast_to(mask[:, 0], (len(query), *mask.shape[2:]))
        outputs = jax.vmap(module)(*flat, mask)
        return outputs.reshape(query.shape)

    return jax_calls.attention(called, row, inputs, direction, keeps_causal=False)


def gru(row: Row, inputs: Arrays, direction: str) -> Prepared:
    """Scans the cell over the whole batch, as the documentation does for one example."""
    made = equinox.nn.GRUCell(row.shape[2], row.shape[3], key=jax.random.key(0))

    def called(params, inputs, initial, _lengths):
        names = sorted(params[0])
        weights = lambda cell: [getattr(cell, name) for name in names]
        cell = equinox.tree_at(weights, made, [params[0][name] for name in names])

        def step(hidden, inputs):
            hidden = cell(inputs, hidden)
            return hidden, hidden

        return jax.vmap(lambda inputs, initial: jax.lax.scan(step, initial, inputs)[1])(
            inputs, initial
        )

    return jax_calls.gru(called, row, inputs, direction, library="equinox")


def bidirectional(row: Row, inputs: Arrays, direction: str) -> Prepared:
    raise Unsupported("takes no lengths")
