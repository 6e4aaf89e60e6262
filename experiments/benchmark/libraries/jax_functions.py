"""JAX's own attention, alone and in jattn's transformer."""

from functools import partial

import jax

from experiments.benchmark.inputs import Arrays
from experiments.benchmark.libraries import jax_calls
from experiments.benchmark.prepared import Prepared
from experiments.benchmark.rows import Row

attention = partial(
    jax_calls.attention,
    jax.nn.dot_product_attention,
    has=(*jax_calls.LENGTHS, "local_window_size"),
)


def transformer(row: Row, inputs: Arrays, direction: str) -> Prepared:
    def attend(query, key, value, **_options):
        return jax.nn.dot_product_attention(query, key, value, is_causal=row.causal), None

    return jax_calls.transformer(attend, row, inputs, direction)
