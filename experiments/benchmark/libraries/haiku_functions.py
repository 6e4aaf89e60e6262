"""Haiku. Its attention comes with four projections, which are set to the identity.

Its GRU puts the reset gate before the product, so it computes another function than the rest.
"""

# pyright: reportMissingImports=false

import haiku
import jax
import jax.numpy as jnp

from experiments.benchmark.inputs import Arrays
from experiments.benchmark.libraries import jax_calls
from experiments.benchmark.prepared import Prepared, Unsupported
from experiments.benchmark.rows import Row


def attention(row: Row, inputs: Arrays, direction: str) -> Prepared:
    if row.biased or row.soft_cap is not None or row.key_value_heads:
        raise Unsupported("has no bias, soft cap or grouped heads")
    heads, size = row.shape[2:]
    identity = lambda shape, dtype: jnp.eye(*shape, dtype=dtype)
    module = haiku.transform(
        lambda query, key, value, mask: haiku.MultiHeadAttention(
            heads, size, w_init=identity, with_bias=False
        )(query, key, value, mask=mask)
    )

    def flat(array):
        return array.reshape(*array.shape[:2], -1)

    few = [flat(inputs[name][:1, :1]) for name in ("query", "key", "value")]
    params = module.init(jax.random.key(0), *few, None)

    def called(query, key, value, mask):
        output = module.apply(params, None, flat(query), flat(key), flat(value), mask)
        return output.reshape(query.shape)

    return jax_calls.attention(called, row, inputs, direction, keeps_causal=False)


def gru(row: Row, inputs: Arrays, direction: str) -> Prepared:
    raise Unsupported("its GRU is another function: the reset gate comes before the product")


bidirectional = gru
