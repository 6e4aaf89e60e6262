"""Tokamax, on the processor: of its implementations two run there."""

# pyright: reportMissingImports=false

from typing import Any

import tokamax
from absl import flags

from experiments.benchmark.inputs import Arrays
from experiments.benchmark.libraries import jax_calls
from experiments.benchmark.prepared import Prepared
from experiments.benchmark.rows import Row

flags.FLAGS(["tokamax"])  # It reads its flags at the first call, and from this command's line.


def attention(row: Row, inputs: Arrays, direction: str, implementation: Any) -> Prepared:
    """Prepares a row with the library's options; packed documents are a dense mask."""
    options: dict[str, Any] = {
        "implementation": implementation,
        "logits_soft_cap": row.soft_cap,
    }
    if row.documents:
        function = lambda *arrays, **given: tokamax.dot_product_attention(
            *arrays, **options, **given
        )
        return jax_calls.attention(function, row, inputs, direction)
    options["is_causal"] = row.causal
    if row.window is not None:
        options["local_window_size"] = (row.window, 0)

    def called(arrays, lengths):
        given = dict(options, bias=arrays.get("bias"))
        if lengths is not None:
            given["key_value_seq_lengths"] = lengths
        return tokamax.dot_product_attention(
            arrays["query"], arrays["key"], arrays["value"], **given
        )

    arrays = jax_calls.differentiated(inputs)
    return jax_calls.prepared(called, arrays, inputs.get("lengths"), inputs["cotangent"], direction)
