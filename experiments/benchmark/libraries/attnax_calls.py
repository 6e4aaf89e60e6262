"""attnax: its kernels take heads before time, as many for keys as for queries."""

# pyright: reportMissingImports=false

from collections.abc import Callable

import jax.numpy as jnp

from experiments.benchmark.inputs import Arrays
from experiments.benchmark.libraries import jax_calls
from experiments.benchmark.prepared import Prepared
from experiments.benchmark.rows import Row


def attention(row: Row, inputs: Arrays, direction: str, kernel: Callable) -> Prepared:
    """Prepares a row: bias and soft cap are a function of the scores, and heads are repeated."""
    group = row.shape[2] // (row.key_value_heads or row.shape[2])

    def heads_first(arrays):
        swapped = {name: jnp.swapaxes(array, 1, 2) for name, array in arrays.items()}
        return swapped | ({"bias": arrays["bias"]} if "bias" in arrays else {})

    def called(query, key, value, mask, bias=None):
        def scored(scores, *_positions):
            if row.soft_cap is not None:
                scores = row.soft_cap * jnp.tanh(scores / row.soft_cap)
            return scores if bias is None else scores + bias

        if group > 1:
            key, value = (jnp.repeat(array, group, axis=1) for array in (key, value))
        changed = scored if row.soft_cap is not None or bias is not None else None
        return kernel(query, key, value, mask=mask, score_mod=changed)

    made = jax_calls.attention(
        called, row, inputs | {"cotangent": inputs["cotangent"].swapaxes(1, 2)}, direction,
        keeps_causal=False, native=heads_first,
    )  # fmt: skip

    def result(returned):
        named = made.result(returned)
        return {**named, "output": named["output"].swapaxes(1, 2)}

    return made._replace(result=result)
