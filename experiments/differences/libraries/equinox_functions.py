"""Equinox. Its attention comes with projections, which are set to the identity."""

# pyright: reportMissingImports=false

import equinox
import jax
import jax.numpy as jnp

from experiments.differences.measures import Unsupported, by_jax
from experiments.gru_weights import candidate_apart


def attention(query, key, value, mask):
    size, dtype = query.shape[-1], query.dtype
    module = equinox.nn.MultiheadAttention(1, size, key=jax.random.key(0), dtype=dtype)
    projections = lambda module: [
        getattr(module, f"{name}_proj").weight for name in ("query", "key", "value", "output")
    ]
    module = equinox.tree_at(projections, module, [jnp.eye(size, dtype=dtype)] * 4)
    return module(query, key, value, mask=mask)


def gru(params, inputs, initial, length):
    if length < len(inputs):
        raise Unsupported("takes no lengths")
    bias, candidate_bias = candidate_apart(params)
    cell = equinox.tree_at(
        lambda cell: (cell.weight_ih, cell.weight_hh, cell.bias, cell.bias_n),
        equinox.nn.GRUCell(inputs.shape[1], initial.size, key=jax.random.key(0)),
        (
            jnp.concatenate(list(params.input_weight)),
            jnp.concatenate(list(params.hidden_weight)),
            bias.reshape(-1),
            candidate_bias,
        ),
    )

    def step(hidden, inputs):
        hidden = cell(inputs, hidden)
        return hidden, hidden

    final, outputs = jax.lax.scan(step, initial, inputs)
    return outputs, final


ATTENTION = {"equinox.nn.MultiheadAttention": by_jax(attention)}
GRU = {"equinox.nn.GRUCell": by_jax(gru)}
