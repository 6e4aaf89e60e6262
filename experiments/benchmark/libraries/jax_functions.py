"""JAX's own attention, and the rate of its matrix product."""

from typing import Any

import jax

from experiments.benchmark.inputs import Arrays
from experiments.benchmark.libraries import jax_calls
from experiments.benchmark.prepared import Prepared, Unsupported
from experiments.benchmark.rows import Row


def attention(row: Row, inputs: Arrays, direction: str) -> Prepared:
    """Prepares a row with the library's options; packed documents are a dense mask."""
    if row.soft_cap is not None:
        raise Unsupported("has no soft cap")
    if row.documents:
        return jax_calls.attention(jax.nn.dot_product_attention, row, inputs, direction)
    options: dict[str, Any] = {"is_causal": row.causal}
    if row.window is not None:
        options["local_window_size"] = (row.window, 0)

    def called(arrays, lengths):
        given = dict(options, bias=arrays.get("bias"))
        if lengths is not None:
            given |= {"query_seq_lengths": lengths, "key_value_seq_lengths": lengths}
        return jax.nn.dot_product_attention(
            arrays["query"], arrays["key"], arrays["value"], **given
        )

    arrays = jax_calls.differentiated(inputs)
    return jax_calls.prepared(called, arrays, inputs.get("lengths"), inputs["cotangent"], direction)


def product(row: Row, inputs: Arrays, direction: str) -> Prepared:
    return jax_calls.prepared(
        lambda both, _: both["left"] @ both["right"], inputs, None, None, direction
    )
