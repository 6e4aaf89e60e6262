"""Tokamax: `xla_chunked`, the one of its implementations for the processor with linear memory."""

# pyright: reportMissingImports=false

from functools import partial

import tokamax
from absl import flags

from experiments.benchmark.libraries import jax_calls

flags.FLAGS(["tokamax"])  # It reads its flags at the first call, and from this command's line.

attention = partial(
    jax_calls.attention,
    partial(tokamax.dot_product_attention, implementation="xla_chunked"),
    has=("key_value_seq_lengths", "local_window_size", "logits_soft_cap"),
)
