"""Plain formulas in float64, differentiated by JAX: what every library's result is compared with.

They share no code with jattn. Attention goes over the queries in blocks, for its memory alone.
"""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmark.checks import last_head
from experiments.benchmark.inputs import Arrays
from experiments.benchmark.libraries import jax_calls
from experiments.benchmark.libraries.float64_recurrent import (
    both_ways,
    cross_entropy,
    double,
    in_blocks,
    read,
    unroll,
)
from experiments.benchmark.masks import dense
from experiments.benchmark.rows import Row

jax.config.update("jax_enable_x64", True)  # This module is imported in a process of its own.


def attention(row: Row, inputs: Arrays, direction: str):
    inputs = {
        name: last_head(row, name, array) if array.dtype == np.float32 else array
        for name, array in inputs.items()
    }
    mask = dense(row, inputs)
    if mask is None:
        mask = np.ones((1, row.shape[1], row.keys or row.shape[1]), bool)
    mask = np.broadcast_to(mask, (row.shape[0], *mask.shape[1:]))

    def one(example, bias):
        query, key, value, mask = example

        def block(query, mask, bias):
            scores = jnp.einsum("tgk,sk->tgs", query, key) * query.shape[-1] ** -0.5
            if row.soft_cap is not None:
                scores = row.soft_cap * jnp.tanh(scores / row.soft_cap)
            scores = jnp.where(mask[:, None], scores + bias, -jnp.inf)
            return jnp.einsum("tgs,sk->tgk", jax.nn.softmax(scores), value)

        return in_blocks(block, query, mask, bias)

    def all_examples(arrays, mask):
        bias = arrays.get("bias")
        if bias is None:
            bias = jnp.zeros((1, 1, mask.shape[1], 1))
        bias = jnp.moveaxis(bias[0], 1, 0)
        return jax.lax.map(
            lambda example: one(example, bias),
            (arrays["query"], arrays["key"][:, :, 0], arrays["value"][:, :, 0], mask),
        )

    arrays = double(jax_calls.differentiated(inputs))
    return jax_calls.prepared(all_examples, arrays, mask, double(inputs["cotangent"]), direction)


def additive(row: Row, inputs: Arrays, direction: str):
    def all_examples(arrays, mask):
        params = arrays["params"]
        one = lambda query, key, value: read(params, query, key, value, mask)
        return jax.lax.map(
            lambda example: one(*example), (arrays["query"], arrays["key"], arrays["value"])
        )

    arrays = double({name: inputs[name] for name in ("params", "query", "key", "value")})
    return jax_calls.prepared(
        all_examples, arrays, np.ones(row.shape[2], bool), double(inputs["cotangent"]), direction,
        named=jax_calls.additive_gradients,
    )  # fmt: skip


def gru(row: Row, inputs: Arrays, direction: str):
    run = lambda params, inputs, initial, lengths: unroll(params[0], inputs, initial, lengths)[0]
    return jax_calls.gru(run, row, double(inputs), direction)


def bidirectional(row: Row, inputs: Arrays, direction: str):
    run = lambda params, inputs, initial, lengths: both_ways(params, inputs, lengths)[0]
    return jax_calls.gru(run, row, double(inputs), direction)


def training(row: Row, inputs: Arrays, direction: str):
    batch = {name: array for name, array in inputs.items() if name != "params"}
    return jax_calls.prepared(
        lambda params, batch: cross_entropy(params, batch, row.input_feeding),
        double(inputs["params"]), batch, np.float64(1), direction,
        named=lambda slopes: jax_calls.gradients(jax_calls.leaves(slopes)),
    )  # fmt: skip


def product(row: Row, inputs: Arrays, direction: str):
    multiply = lambda both, _fixed: both["left"] @ both["right"]
    return jax_calls.prepared(multiply, double(inputs), None, None, direction)
