"""Tokamax, on the processor: its kernels need an accelerator, its semantics do not."""

# pyright: reportMissingImports=false

import tokamax
from absl import flags

from experiments.differences.measures import one_head

flags.FLAGS(["tokamax"])  # It reads its flags at the first call, and from this command's line.

ATTENTION = {
    "tokamax.dot_product_attention": one_head(
        lambda *arrays, mask: tokamax.dot_product_attention(*arrays, mask=mask)
    )
}
GRU = {}
