"""The results that every library is compared with: float64, differentiated by JAX.

Attention is a plain formula in blocks of queries, which shares no code with jattn. The other rows
are jattn's functions, which its tests compare with NumPy oracles.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmark.checks import last_head
from experiments.benchmark.inputs import Arrays, dense
from experiments.benchmark.libraries import jattn_functions, jax_calls
from experiments.benchmark.prepared import Prepared
from experiments.benchmark.rows import Row

jax.config.update("jax_enable_x64", True)  # This module is imported in a process of its own.
BLOCK = 256  # Queries.


def attention(row: Row, inputs: Arrays, direction: str) -> Prepared:
    """Prepares the last key-value head and its queries."""
    steps, keys = row.shape[1], row.keys or row.shape[1]
    mask = dense(row, inputs)
    mask = np.ones((1, steps, keys), bool) if mask is None else mask
    inputs = {
        name: last_head(row, name, array) if array.dtype == np.float32 else array
        for name, array in inputs.items()
    }
    size = BLOCK if steps % BLOCK == 0 else steps
    split = lambda array: array.reshape(-1, size, *array.shape[1:])

    def example(query, key, value, mask, bias):
        @jax.checkpoint
        def block(arrays):
            query, mask, bias = arrays
            scores = jnp.einsum("tgk,sk->tgs", query, key) * query.shape[-1] ** -0.5
            if row.soft_cap is not None:
                scores = row.soft_cap * jnp.tanh(scores / row.soft_cap)
            scores = jnp.where(mask[:, None], scores + bias, -jnp.inf)
            return jnp.einsum("tgs,sk->tgk", jax.nn.softmax(scores), value)

        return jax.lax.map(block, (split(query), split(mask), split(bias))).reshape(query.shape)

    def called(arrays, mask):
        bias = arrays.get("bias", jnp.zeros((1, 1, steps, 1)))
        bias = jnp.moveaxis(bias[0], 1, 0)
        mask = jnp.broadcast_to(mask, (row.shape[0], steps, keys))
        return jax.lax.map(
            lambda arrays: example(*arrays, bias=bias),
            (arrays["query"], arrays["key"][:, :, 0], arrays["value"][:, :, 0], mask),
        )

    arrays = double(jax_calls.differentiated(inputs))
    return jax_calls.prepared(called, arrays, mask, double(inputs["cotangent"]), direction)


def double(tree):
    """Returns a tree with float64 in place of float32."""
    is_float = lambda leaf: leaf.dtype == np.float32
    return jax.tree.map(lambda leaf: np.float64(leaf) if is_float(leaf) else leaf, tree)


def reference(function):
    return lambda row, inputs, direction: function(row, double(inputs), direction)


additive = reference(jattn_functions.additive)
gru = reference(jattn_functions.gru)
bidirectional = reference(jattn_functions.bidirectional)
training = reference(jattn_functions.training)
transformer = reference(partial(jax_calls.transformer, None))  # The dense form.
