"""The formula of additive attention as one writes it down, which holds every hidden layer."""

import jax
import jax.numpy as jnp

from experiments.benchmark.inputs import Arrays
from experiments.benchmark.libraries import jax_calls
from experiments.benchmark.prepared import Prepared
from experiments.benchmark.rows import Row


def additive(row: Row, inputs: Arrays, direction: str) -> Prepared:
    def called(arrays, _fixed):
        params = arrays["params"]
        query_part = arrays["query"] @ params.query_weight.T
        key_part = arrays["key"] @ params.key_weight.T
        hidden = jnp.tanh(query_part[:, :, None] + key_part[:, None])
        weights = jax.nn.softmax(jnp.sum(params.score_weight * hidden, axis=-1))
        return weights @ arrays["value"]

    arrays = {name: inputs[name] for name in ("params", "query", "key", "value")}
    return jax_calls.prepared(
        called, arrays, None, inputs["cotangent"], direction, named=jax_calls.additive_gradients
    )
