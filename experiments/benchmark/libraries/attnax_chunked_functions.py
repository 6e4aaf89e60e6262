"""attnax's kernel that goes over the keys in blocks."""

# pyright: reportMissingImports=false

from functools import partial

from attnax.kernels.attention import memory_efficient_attention

from experiments.benchmark.libraries import attnax_calls

attention = partial(attnax_calls.attention, kernel=memory_efficient_attention)
